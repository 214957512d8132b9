"""Make an LMDB of candidate ground truths, or of a flat folder of images.

Usage:
    python scripts/create_lmdb.py -i datasets/HGGT/Train -o datasets/hggt.lmdb
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.data.lmdb_store import create_lmdb


def main() -> None:
    """Parse the command line and make the LMDB."""
    parser = argparse.ArgumentParser(description='Images -> LMDB, also for stock BasicSR.')
    parser.add_argument('-i', '--input', required=True, help='folder of candidates or of images')
    parser.add_argument('-o', '--output', required=True, help='LMDB to make, ends in .lmdb')
    parser.add_argument('--labels', help='folder of labels (default: <input>/labels, if any)')
    parser.add_argument('--workers', type=int, help='reading threads (default: one per core)')
    parser.add_argument('--overwrite', action='store_true', help='replace an existing LMDB')
    args = parser.parse_args()
    try:
        create_lmdb(
            args.input, args.output, args.labels, workers=args.workers, overwrite=args.overwrite
        )
    except (OSError, ValueError) as error:
        sys.exit(f'{parser.prog}: {error}')


if __name__ == '__main__':
    main()
