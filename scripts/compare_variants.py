"""Train and test variants of a training with several seeds and networks, and compare them.

Usage:
    python scripts/compare_variants.py -i options/studies/paper.yml -o results/study
"""

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.report.variants import compare_variants
from iqasr.runtime.commands import exit_codes


def main() -> None:
    """Do all unfinished runs and print the tables."""
    parser = argparse.ArgumentParser(description='Compare variants of a training.')
    parser.add_argument('-i', '--input', required=True, help='plan of the study (YAML)')
    parser.add_argument('-o', '--output', required=True, help='folder for runs and results')
    parser.add_argument('--only_report', action='store_true', help='report on what is done')
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
    with exit_codes(parser.prog):
        text = compare_variants(args.input, args.output, only_report=args.only_report)
    sys.stdout.write(text)


if __name__ == '__main__':
    main()
