"""Make pairs whose better image is known, for scripts/analyze_metrics.py, from photographs.

Usage:
    python scripts/make_ladder_pairs.py -i photographs -o datasets/ladders
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import iqasr  # noqa: F401 - prepares the import of basicsr
from iqasr.analysis import make_ladder_pairs


def main() -> None:
    """Parse the command line and write images and ``pairs.csv``."""
    parser = argparse.ArgumentParser(description='Damage photographs in ordered steps.')
    parser.add_argument('-i', '--input', required=True, help='folder of photographs')
    parser.add_argument('-o', '--output', required=True, help='folder of images and pairs.csv')
    parser.add_argument('--reduce', type=float, default=2, help='make them smaller by this factor')
    parser.add_argument('--size', type=int, default=192, help='side of the squares, in pixels')
    parser.add_argument('--network', help='network for more ladders: weights or test option file')
    args = parser.parse_args()
    try:
        choices = {'reduce': args.reduce, 'size_px': args.size, 'network': args.network}
        path = make_ladder_pairs(args.input, args.output, **choices)
    except (OSError, ValueError, RuntimeError) as error:
        parser.exit(2, f'{parser.prog}: {error}\n')
    sys.stdout.write(f'{path}\n')


if __name__ == '__main__':
    main()
