"""Train every variant of the quickstart with several seeds, test, and compare with intervals.

Usage:
    python scripts/compare_variants.py -i photographs --val other_photographs -o results/study
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import iqasr  # noqa: F401 - prepares the import of basicsr
from iqasr.report.study import study_from_folders


def main() -> None:
    """Parse the command line, run what is not finished, and print two tables."""
    parser = argparse.ArgumentParser(description='Compare the variants of the quickstart.')
    parser.add_argument('-i', '--input', required=True, help='photographs to train on')
    parser.add_argument('--val', required=True, help='photographs to test on, seen nowhere else')
    parser.add_argument('-o', '--output', required=True, help='folder for data and results')
    parser.add_argument('--reduce', type=float, default=2, help='make them smaller by this factor')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--processes', type=int, default=2, help='runs at a time, a core each')
    parser.add_argument('--held_out', help='weights of another ranker, as one more judge')
    parser.add_argument(
        '--force_yml', nargs='+', default=[], metavar='K=V', help='options of training, but of FT'
    )
    args = parser.parse_args()
    try:
        choices = {'reduce': args.reduce, 'held_out': args.held_out, 'processes': args.processes}
        choices['training'] = args.force_yml
        text = study_from_folders(args.input, args.val, args.output, args.seeds, **choices)
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f'{parser.prog}: {error}')
    sys.stdout.write(text)


if __name__ == '__main__':
    main()
