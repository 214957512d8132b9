"""Write a network as others load it: averaged or raw, adapters merged, blended; or as ONNX.

Usage:
    python scripts/export.py -i experiments/my_run/models/net_g_latest.pth -o my_network.onnx
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.models.export import export
from iqasr.runtime.commands import exit_codes


def main() -> None:
    """Parse the command line and write the files."""
    parser = argparse.ArgumentParser(description='Write a network as others load it.')
    parser.add_argument('-i', '--input', required=True, help='weights, or folder of a run')
    parser.add_argument('-o', '--output', required=True, help='.pth, .safetensors or .onnx')
    parser.add_argument('--key', default='params_ema', choices=['params_ema', 'params'])
    parser.add_argument('-l', '--lora', nargs='+', default=[], help='adapters to merge')
    parser.add_argument('-w', '--weights', type=float, nargs='+', help='of each; default: 1')
    parser.add_argument('-s', '--scale', type=float, nargs='+', default=[1.0], help='of their sum')
    parser.add_argument('--other', help='weights to blend with')
    parser.add_argument('--alpha', type=float, nargs='+', default=[0.5], help='share of the other')
    parser.add_argument('-opt', help='option file of a network that is not recognised')
    parser.add_argument('--size', type=int, nargs=2, metavar=('H', 'W'), help='only one, of ONNX')
    args = parser.parse_args()
    lora = {'adapters': args.lora, 'adapter_weights': args.weights, 'scales': args.scale}
    choices = {'key': args.key, 'other': args.other, 'alphas': args.alpha, 'option_file': args.opt}
    choices['size'] = args.size and tuple(args.size)
    with exit_codes(parser.prog):
        for path in export(args.input, args.output, **lora, **choices):
            sys.stdout.write(f'{path}\n')


if __name__ == '__main__':
    main()
