"""Make candidate ground truths of photographs with networks or classical operators.

Usage:
    python scripts/enhance_candidates.py -i photographs -o datasets/mine --enhancers \\
        enhancer_x1.pth options/test/compact_x4.yml "{type: UnsharpMask, amount: 1.5}"
    torchrun --nproc_per_node=8 scripts/enhance_candidates.py -i ... -o ... --enhancers ...
"""

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.enhancement.run import NUMBER_FLAGS, enhance_from_words


def main() -> None:
    """Make the candidates; exit code 1 if photographs could not be read."""
    parser = argparse.ArgumentParser(description='Make candidate ground truths of photographs.')
    parser.add_argument('-i', '--input', required=True, help='folder of photographs')
    parser.add_argument('-o', '--output', required=True, help='folder to make or to complete')
    parser.add_argument('--enhancers', required=True, nargs='+', help='one for each candidate')
    parser.add_argument('--whole', action='store_true', help='keep photographs whole')
    parser.add_argument('--scorer', help='scorer for --least_quality')
    parser.add_argument('--seed', type=int, default=0, help='seed of the places of patches')
    parser.add_argument('--cpu', action='store_true', help='do not use the GPU')
    for name, (kind, default) in NUMBER_FLAGS.items():
        parser.add_argument(f'--{name}', type=kind, default=default)
    args = vars(parser.parse_args())
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
    source, target, words = (args.pop(name) for name in ('input', 'output', 'enhancers'))
    try:
        unreadable = enhance_from_words(source, target, words, **args)
    except (OSError, ValueError, RuntimeError) as error:
        parser.exit(2, f'{parser.prog}: {error}\n')
    sys.exit(1 if unreadable else 0)


if __name__ == '__main__':
    main()
