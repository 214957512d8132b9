"""Score every candidate ground truth of a data set into a quality table.

Usage:
    python scripts/score_candidates.py -i datasets/hggt.lmdb --scorer niqe
    torchrun --nproc_per_node=8 scripts/score_candidates.py -i datasets/hggt.lmdb --scorer musiq
"""

import argparse
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.scoring import score_from_options


def main() -> None:
    """Parse the command line and score."""
    parser = argparse.ArgumentParser(description='Score candidates into a quality table.')
    parser.add_argument('-i', '--input', required=True, help='folder of candidates or LMDB')
    parser.add_argument('-o', '--output', help='default: <input>/quality_<scorer>.csv')
    parser.add_argument('--scorer', required=True, help='niqe, or any metric of pyiqa')
    parser.add_argument('--scorer-options', nargs='*', default=[], metavar='K=V')
    parser.add_argument('--batch', type=int, default=8, help='most images per call')
    parser.add_argument('--cpu', action='store_true', help='leave the GPU alone')
    args = parser.parse_args()
    try:
        options = yaml.safe_load('\n'.join(x.replace('=', ': ', 1) for x in args.scorer_options))
        score_from_options(
            args.input, args.scorer, options or {}, args.output, batch=args.batch, cpu=args.cpu
        )
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f'{parser.prog}: {error}')


if __name__ == '__main__':
    main()
