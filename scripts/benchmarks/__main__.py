"""Run the benchmarks and print one table of what they found.

Usage:
    python -m scripts.benchmarks -o results/benchmarks.md
    python -m scripts.benchmarks --only data_path scoring
"""

import argparse
import logging
import sys

from scripts.benchmarks.suite import SUBJECTS, run_suite


def main() -> int:
    """Parse the command line and run them in turn."""
    parser = argparse.ArgumentParser(prog='python -m scripts.benchmarks', description='Run them.')
    parser.add_argument('--only', nargs='+', default=SUBJECTS, choices=SUBJECTS)
    parser.add_argument('-o', '--output', default='results/benchmarks.md', help='JSON beside it')
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
    return run_suite(args.only, args.output)


if __name__ == '__main__':
    sys.exit(main())
