"""Score every candidate ground truth of a data set into a quality table, or its crops into a map.

Usage:
    python scripts/score_candidates.py -i datasets/hggt.lmdb --scorer niqe
    python scripts/score_candidates.py -i datasets/hggt.lmdb --scorer niqe --map --stride 64
    torchrun --nproc_per_node=8 scripts/score_candidates.py -i datasets/hggt.lmdb --scorer musiq
"""

import sys
from argparse import SUPPRESS, ArgumentParser
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.data.scores.score_map import score_map
from iqasr.data.scores.score_table import score_from_options
from iqasr.runtime.commands import exit_codes


def main() -> None:
    """Parse the command line and score."""
    parser = ArgumentParser(description='Score candidates or crops.', argument_default=SUPPRESS)
    add = parser.add_argument
    add('-i', '--input', dest='source', required=True, help='folder of candidates or store')
    add('-o', '--output', dest='out', help='default: in <input>, named by scorer')
    add('--scorer', dest='name', required=True, help='ranker, niqe, or any of pyiqa')
    add('--scorer-options', dest='options', nargs='*', default=[], metavar='K=V')
    add('--batch', type=int, help='most images per call (8), or crops (64)')
    add('--map', dest='score', action='store_const', const=score_map, help='score crops')
    add('--crop', type=int, help='their side: gt_size of training (256)')
    add('--stride', type=int, help='their distance, in pixels (64)')
    add('--cpu', action='store_true', help='leave the GPU alone')
    how = vars(parser.parse_args())
    if 'score' not in how and how.keys() & {'crop', 'stride'}:
        parser.error('--crop and --stride are for --map')
    with exit_codes(parser.prog):
        options = '\n'.join(x.replace('=', ': ', 1) for x in how.pop('options'))
        score_from_options(options=yaml.safe_load(options) or {}, **how)


if __name__ == '__main__':
    main()
