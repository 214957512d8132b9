"""Analyse the votes of a user study: preference rates, strengths, agreement.

Usage:
    python scripts/analyze_study.py results/study/study.json votes/*.json -o results/study/analysis
"""

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.runtime.commands import exit_codes
from iqasr.user_study import LEAST_CAUGHT, analyse_study


def main() -> None:
    """Write the summary and print it."""
    parser = argparse.ArgumentParser(description='Analyse the votes of a user study.')
    parser.add_argument('study', help='study.json of scripts/make_study.py')
    parser.add_argument('votes', nargs='+', help='files that raters downloaded')
    parser.add_argument('-o', '--output', required=True, help='folder for the summary and plot')
    parser.add_argument(
        '--least_caught',
        type=float,
        default=LEAST_CAUGHT,
        help='least share of catch trials that a rater must answer correctly',
    )
    args = parser.parse_args()
    logging.basicConfig(format='%(message)s')
    with exit_codes(parser.prog):
        text = analyse_study(args.study, args.votes, args.output, args.least_caught)
    sys.stdout.write(text)


if __name__ == '__main__':
    main()
