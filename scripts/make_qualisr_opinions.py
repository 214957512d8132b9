"""Make opinions with given scores of the package qualisr-lab, for scripts/analyze_metrics.py.

Usage:
    pip install --no-deps qualisr-lab
    python scripts/make_qualisr_opinions.py -o datasets/qualisr.csv
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.analysis.qualisr import find_qualisr, write_qualisr_opinions
from iqasr.runtime.commands import exit_codes


def main() -> None:
    """Write the CSV file, and say which scores it holds."""
    parser = argparse.ArgumentParser(description='Make opinions of the package qualisr-lab.')
    parser.add_argument('-i', '--input', help='folder sample_data, default of the package')
    parser.add_argument('-o', '--output', required=True, help='CSV file')
    args = parser.parse_args()
    with exit_codes(parser.prog):
        names = write_qualisr_opinions(args.input or find_qualisr(), args.output)
    sys.stdout.write(f'{args.output}: scores {" ".join(names)}\n')


if __name__ == '__main__':
    main()
