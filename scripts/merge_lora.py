"""Merge adapters into their base network, as ordinary weights for every scale asked for.

Usage:
    python scripts/merge_lora.py -b base.pth -i tuned.safetensors -o merged.pth --scale 0.5 1
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.archs.lora_merge import write_merged


def main() -> None:
    """Parse the command line and write one file per scale."""
    parser = argparse.ArgumentParser(description='Merge adapters into their base network.')
    parser.add_argument('-b', '--base', required=True, help='weights the adapters started from')
    parser.add_argument('--key', default='params_ema', help='which weights of the base file')
    parser.add_argument('-i', '--input', nargs='+', required=True, help='adapters')
    parser.add_argument('-w', '--weights', type=float, nargs='+', help='default: 1 for each')
    parser.add_argument('-s', '--scale', type=float, nargs='+', default=[1.0], help='of their sum')
    parser.add_argument('-o', '--output', required=True, help='<name>.pth or .safetensors')
    args = parser.parse_args()
    try:
        choices = {'weights': args.weights, 'key': args.key, 'scales': args.scale}
        for path in write_merged(args.base, args.input, args.output, **choices):
            sys.stdout.write(f'{path}\n')
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f'{parser.prog}: {error}')


if __name__ == '__main__':
    main()
