"""Compare a validation (PSNR, SSIM, NIQE) with that of stock BasicSR, as a table and as JSON.

Usage:
    OMP_NUM_THREADS=1 python scripts/benchmarks/validation.py --count 100 --json validation.json
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ratios import report_measured
from validation_step import compare, rows_of


def main() -> None:
    """Parse the command line, print a Markdown table."""
    parser = argparse.ArgumentParser(description='Time validation against stock BasicSR.')
    parser.add_argument('--count', type=int, default=100, help='images')
    parser.add_argument(
        '--side', type=int, default=512, help='side of the ground truths, in pixels'
    )
    parser.add_argument('--blocks', type=int, default=4, help='alternating blocks')
    parser.add_argument('--json', help='file to write the figures to')
    args = parser.parse_args()
    found = compare(args.count, args.side, args.blocks)
    report_measured(rows_of(found, args.count, args.side), args.json, **vars(args), found=found)


if __name__ == '__main__':
    main()
