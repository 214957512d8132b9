"""Score every candidate ground truth of a data set into a quality table, or its crops into a map.

Usage:
    python scripts/score_candidates.py -i datasets/hggt.lmdb --scorer niqe
    python scripts/score_candidates.py -i datasets/hggt.lmdb --scorer niqe --map --stride 64
    torchrun --nproc_per_node=8 scripts/score_candidates.py -i datasets/hggt.lmdb --scorer musiq
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.map_scoring import score_map
from iqasr.scoring import score_candidates, score_from_options


def main() -> None:
    """Parse the command line and score."""
    parser = argparse.ArgumentParser(description='Score candidates, or their crops.')
    parser.add_argument('-i', '--input', required=True, help='folder of candidates or store')
    parser.add_argument('-o', '--output', help='default: in <input>, named by scorer')
    parser.add_argument('--scorer', required=True, help='ranker, niqe, or any of pyiqa')
    parser.add_argument('--scorer-options', nargs='*', default=[], metavar='K=V')
    parser.add_argument('--batch', type=int, help='most images per call (8), or crops (64)')
    parser.add_argument('--map', action='store_true', help='score crops, into a quality map')
    parser.add_argument('--crop', type=int, default=256, help='their side: gt_size of training')
    parser.add_argument('--stride', type=int, default=64, help='their distance, in pixels')
    parser.add_argument('--cpu', action='store_true', help='leave the GPU alone')
    args = parser.parse_args()
    try:
        options = yaml.safe_load('\n'.join(x.replace('=', ': ', 1) for x in args.scorer_options))
        score = partial(score_map, crop=args.crop, stride=args.stride)
        how = {'score': score if args.map else score_candidates, 'batch': args.batch}
        score_from_options(args.input, args.scorer, options or {}, args.output, cpu=args.cpu, **how)
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f'{parser.prog}: {error}')


if __name__ == '__main__':
    main()
