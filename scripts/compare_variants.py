"""Train and test every variant of the quickstart with several seeds, and compare them.

Usage:
    python scripts/compare_variants.py -i photographs --val other_photographs -o results/study
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import iqasr  # noqa: F401 - prepares the import of basicsr
from iqasr.report.variants import compare_variants


def main() -> None:
    """Do all unfinished runs and print two tables."""
    parser = argparse.ArgumentParser(description='Compare the variants of the quickstart.')
    parser.add_argument('-i', '--input', required=True, help='photographs to train on')
    parser.add_argument('--val', required=True, help='other photographs, to test on')
    parser.add_argument('-o', '--output', required=True, help='folder for data and results')
    parser.add_argument('--reduce', type=float, default=2, help='factor by which to reduce them')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--processes', type=int, default=2, help='runs at a time, one core each')
    parser.add_argument('--held_out', help='weights of another ranker, as a metric')
    parser.add_argument(
        '--force_yml', nargs='+', default=[], metavar='K=V', help='training options, except for FT'
    )
    args = parser.parse_args()
    try:
        choices = {'reduce': args.reduce, 'held_out': args.held_out, 'processes': args.processes}
        choices['training'] = args.force_yml
        text = compare_variants(args.input, args.val, args.output, args.seeds, **choices)
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f'{parser.prog}: {error}')
    sys.stdout.write(text)


if __name__ == '__main__':
    main()
