"""Compare a validation (PSNR, SSIM, NIQE) with that of stock BasicSR, as a table and as JSON.

Usage:
    OMP_NUM_THREADS=1 python scripts/benchmarks/validation.py --count 100 --side 512 -o results.json
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from validation_step import compare, table

from iqasr.checkpoint import write_json


def main() -> None:
    """Parse the command line, print a Markdown table, write JSON beside it if asked."""
    parser = argparse.ArgumentParser(description='Time validation against stock BasicSR.')
    parser.add_argument('--count', type=int, default=100, help='images')
    parser.add_argument(
        '--side', type=int, default=512, help='side of the ground truths, in pixels'
    )
    parser.add_argument('--blocks', type=int, default=4, help='alternating blocks')
    parser.add_argument('-o', '--out', type=Path, help='JSON file with the figures')
    args = parser.parse_args()
    found = compare(args.count, args.side, args.blocks)
    sys.stdout.write(table(found, args.count, args.side) + '\n')
    if args.out:
        write_json(found, args.out)


if __name__ == '__main__':
    main()
