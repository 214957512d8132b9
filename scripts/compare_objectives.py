"""Fine-tune networks for each of several scorers, and compare what that does to pictures.

Usage:
    python scripts/compare_objectives.py -i options/studies/objectives.yml -o results/objectives
"""

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.report.objectives import compare_objectives
from iqasr.runtime.commands import exit_codes


def main() -> None:
    """Do all unfinished runs and print the tables."""
    parser = argparse.ArgumentParser(description='Compare scorers as objectives.')
    parser.add_argument('-i', '--input', required=True, help='plan of the study (YAML)')
    parser.add_argument('-o', '--output', required=True, help='folder for data, runs and results')
    parser.add_argument(
        '--only', nargs='+', default=[], metavar='NAME', help='objectives and networks to run'
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
    with exit_codes(parser.prog):
        text = compare_objectives(args.input, args.output, args.only)
    sys.stdout.write(f'{text}\n')


if __name__ == '__main__':
    main()
