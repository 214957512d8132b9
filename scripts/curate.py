"""Choose the tiles of photographs that are worth training on: by scorers, without near-duplicates.

Usage:
    python scripts/curate.py -i photographs -o datasets/mine --scorers ranker --best_share 0.5
"""

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.curation import curate_from_words
from iqasr.runtime.commands import exit_codes


def main() -> None:
    """Curate; exit code 1 if files or scorers were left out."""
    parser = argparse.ArgumentParser(description='Choose tiles that are worth training on.')
    add = parser.add_argument
    add('-i', '--input', required=True, help='folder of photographs, and its sub-folders')
    add('-o', '--output', required=True, help='folder for tiles, lists, tables and pictures')
    add('--scorers', required=True, nargs='+', help='names, or sections in YAML')
    add('--limits', nargs='*', default=[], metavar='SCORER=WORST', help='score that still stays')
    add('--best_share', type=float, default=1.0, help='of what limits and duplicates leave')
    add('--most', type=int, help='most tiles of a photograph')
    add('--most_alike_bits', type=int, default=6, help='of near-duplicates, of 64; -1 keeps them')
    add('--flips', action='store_true', help='flipped pictures are near-duplicates, too')
    add('--favour', type=float, default=4.0, help='weight of the best tile to that of the worst')
    add('--tile_px', type=int, default=256, help='side of a tile')
    add('--reduce', type=float, default=1.0, help='factor by which to reduce photographs first')
    add('--cpu', action='store_true')
    args = vars(parser.parse_args())
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
    with exit_codes(parser.prog):
        words = [args.pop(name) for name in ('input', 'output', 'scorers', 'limits')]
        left_out = curate_from_words(*words, **args)
    sys.exit(1 if left_out else 0)


if __name__ == '__main__':
    main()
