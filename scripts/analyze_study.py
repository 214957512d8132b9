"""Analyse the votes of a user study: preference rates, strengths, agreement.

Usage:
    python scripts/analyze_study.py results/study/study.json votes/*.json -o results/study/analysis
"""

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.user_study import LEAST_CAUGHT, analyse_study


def main() -> None:
    """Parse the command line, write the summary and print it."""
    parser = argparse.ArgumentParser(description='Analyse the votes of a user study.')
    parser.add_argument('study', help='study.json, as scripts/make_study.py wrote it')
    parser.add_argument('votes', nargs='+', help='files that raters have downloaded')
    parser.add_argument('-o', '--output', required=True, help='folder for tables and plot')
    parser.add_argument(
        '--least_caught',
        type=float,
        default=LEAST_CAUGHT,
        help='raters who answer a smaller share of catch trials rightly are left out',
    )
    args = parser.parse_args()
    logging.basicConfig(format='%(message)s')
    try:
        text = analyse_study(args.study, args.votes, args.output, args.least_caught)
    except (OSError, ValueError) as error:
        parser.exit(2, f'{parser.prog}: {error}\n')
    sys.stdout.write(text)


if __name__ == '__main__':
    main()
