"""Make candidate ground truths of photographs with networks or classical operators.

Usage:
    python scripts/enhance_candidates.py -i photographs -o datasets/mine --enhancers UnsharpMask
"""

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.enhancement.run import NUMBER_FLAGS, REAL_ENHANCERS, enhance_from_words
from iqasr.runtime.commands import exit_codes


def main() -> None:
    """Make the candidates; exit code 1 if photographs could not be read."""
    parser = argparse.ArgumentParser(description='Make candidate ground truths of photographs.')
    add = parser.add_argument
    add('-i', '--input', required=True, help='folder of photographs')
    add('-o', '--output', required=True, help='folder to make or to complete')
    add('--enhancers', default=REAL_ENHANCERS, nargs='+', help='one for each candidate')
    add('--cut_px', type=int, help='enhance only the most detailed squares of this side')
    add('--cuts', type=int, default=1, help='most squares of a photograph')
    add('--reduce', type=float, default=1, help='factor by which photographs are reduced first')
    add('--without', help='text file with names of photographs to leave out')
    add('--whole', action='store_true', help='cut no patches')
    add('--scorer', help='scorer for --least_quality')
    add('--seed', type=int, default=0, help='seed of the places of patches')
    add('--cpu', action='store_true', help='do not use the GPU')
    for name, (kind, default) in NUMBER_FLAGS.items():
        add(f'--{name}', type=kind, default=default)
    args = vars(parser.parse_args())
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
    places = (args.pop(name) for name in ('input', 'output', 'enhancers'))
    with exit_codes(parser.prog):
        unreadable = enhance_from_words(*places, **args)
    sys.exit(1 if unreadable else 0)


if __name__ == '__main__':
    main()
