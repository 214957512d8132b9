"""Make pairs of images whose better one is known, for scripts/analyze_metrics.py.

Usage:
    python scripts/make_ladder_pairs.py -i photographs -o datasets/ladders
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.ranking.ladder_pairs import make_ladder_pairs
from iqasr.runtime.commands import exit_codes


def main() -> None:
    """Write the images and ``pairs.csv``."""
    parser = argparse.ArgumentParser(description='Distort photographs in ordered steps.')
    parser.add_argument('-i', '--input', required=True, help='folder of photographs')
    parser.add_argument('-o', '--output', required=True, help='folder for images and pairs.csv')
    parser.add_argument('--reduce', type=float, default=2, help='factor by which to reduce them')
    parser.add_argument('--size', type=int, default=192, help='side of the squares, in pixels')
    parser.add_argument('--network', help='network as a distortion: weights or test option file')
    args = parser.parse_args()
    with exit_codes(parser.prog):
        choices = {'reduce': args.reduce, 'size_px': args.size, 'network': args.network}
        path = make_ladder_pairs(args.input, args.output, **choices)
    sys.stdout.write(f'{path}\n')


if __name__ == '__main__':
    main()
