"""Measure pretrained networks on the benchmarks of their papers, beside the published figures.

Usage:
    git clone https://github.com/jbhuang0604/SelfExSR datasets/SelfExSR
    python scripts/reproduce_published.py -i datasets/SelfExSR -o results/published --only Set5
"""

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.report.published import reproduce
from iqasr.runtime.commands import exit_codes


def main() -> None:
    """Do the tests that are not done, and print the table."""
    parser = argparse.ArgumentParser(description='Measure published figures again.')
    parser.add_argument('-i', '--input', required=True, help='clone of jbhuang0604/SelfExSR')
    parser.add_argument('-o', '--output', required=True, help='folder of the results')
    parser.add_argument(
        '--table', default='options/published/figures.csv', help='the published figures (CSV)'
    )
    parser.add_argument(
        '--only', nargs='+', default=[], metavar='NAME', help='networks and test sets to measure'
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
    with exit_codes(parser.prog):
        text = reproduce(args.table, args.input, args.output, args.only)
    sys.stdout.write(f'{text}\n')


if __name__ == '__main__':
    main()
