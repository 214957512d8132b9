"""Examine scorers on photographs: order, over-sharpening, attack, gradient, time.

Usage:
    python scripts/examine_scorers.py -i photographs --scorers ranker nima-mobilenet niqe
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.ranking import examination_table, examine_scorers
from iqasr.runtime.commands import exit_codes


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description='Examine scorers on unseen photographs.')
    parser.add_argument('-i', '--input', required=True, help='folder of photographs')
    parser.add_argument(
        '--scorers',
        nargs='+',
        default=['ranker', 'niqe'],
        metavar='SCORER',
        help="short names or sections in YAML, '{type: RankerScorer, weights: mine.safetensors}'",
    )
    parser.add_argument('--reduce', type=float, default=2, help='factor by which to reduce them')
    parser.add_argument('--size', type=int, default=224, help='side of the examined squares')
    parser.add_argument('--network', help='network as a distortion: name, weights or option file')
    args = parser.parse_args()
    with exit_codes(parser.prog):
        examinations = examine_scorers(
            args.input, args.scorers, reduce=args.reduce, network=args.network, size_px=args.size
        )
    sys.stdout.write(f'{examination_table(examinations)}\n')


if __name__ == '__main__':
    main()
