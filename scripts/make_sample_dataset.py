"""Make a small multi-GT data set from the photographs of scikit-image or your own.

Usage:
    python scripts/make_sample_dataset.py -o datasets/sample
    python scripts/make_sample_dataset.py -i photographs -o datasets/mine --val other_photographs
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.enhancement.run import real_enhancers
from iqasr.enhancement.sample_dataset import make_sample_dataset
from iqasr.runtime.commands import exit_codes


def main() -> None:
    """Make the data set."""
    parser = argparse.ArgumentParser(description='Make a small multi-GT data set.')
    parser.add_argument('-o', '--output', required=True, help='folder to make')
    parser.add_argument('-i', '--input', help='folder of photographs (default: scikit-image)')
    parser.add_argument('--val', help='folder of photographs for validation (default: likewise)')
    parser.add_argument('--reduce', type=float, default=2, help='factor by which to reduce them')
    parser.add_argument('--real', action='store_true', help='candidates by pretrained networks')
    parser.add_argument('--most', type=int, default=24, help='most patches of a photograph')
    args = parser.parse_args()
    with exit_codes(parser.prog):
        choices = {'reduce': args.reduce, 'most': args.most}
        choices |= {'enhancers': real_enhancers()} if args.real else {}
        make_sample_dataset(args.output, args.input, args.val, **choices)


if __name__ == '__main__':
    main()
