"""Examine a ranker on unseen photographs: order, over-sharpening, attack.

Usage:
    python scripts/examine_ranker.py -i photographs --network options/test/compact_x4.yml
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.ranking import examination_table, examine_ranker


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description='Examine a ranker beside NIQE and random weights.')
    parser.add_argument('-i', '--input', required=True, help='folder of photographs')
    parser.add_argument('-w', '--weights', help='.safetensors (default: the packaged ranker)')
    parser.add_argument('--reduce', type=float, default=2, help='factor by which to reduce them')
    parser.add_argument('--network', help='network as a distortion: weights or test option file')
    args = parser.parse_args()
    try:
        choices = {'reduce': args.reduce, 'network': args.network}
        examinations = examine_ranker(args.input, args.weights, **choices)
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f'{parser.prog}: {error}')
    sys.stdout.write(f'{examination_table(examinations)}\n')


if __name__ == '__main__':
    main()
