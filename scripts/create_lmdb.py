"""Make an LMDB or a raw store of candidate ground truths, or of a flat folder of images.

Usage:
    python scripts/create_lmdb.py -i datasets/HGGT/Train -o datasets/hggt.lmdb
    python scripts/create_lmdb.py -i datasets/HGGT/Train -o datasets/hggt.raw --codec raw
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.data.stores.lmdb_store import create_lmdb
from iqasr.data.stores.raw_store import create_raw_store, verify_raw_store
from iqasr.runtime.commands import exit_codes


def main() -> None:
    """Parse the command line and make the store."""
    parser = argparse.ArgumentParser(description='Images -> LMDB or raw store.')
    parser.add_argument('-i', '--input', required=True, help='folder of candidates or of images')
    parser.add_argument('-o', '--output', help='store to make, ends in .lmdb or .raw')
    parser.add_argument('--codec', choices=['png', 'raw'], default='png', help='png: LMDB')
    parser.add_argument('--labels', help='folder of labels (default: <input>/labels, if any)')
    parser.add_argument('--workers', type=int, help='threads (default: one per core)')
    parser.add_argument('--overwrite', action='store_true', help='replace an existing store')
    parser.add_argument('--verify', action='store_true', help='compare -i, a raw store, with its '
                        'checksums; make nothing')  # fmt: skip
    args = parser.parse_args()
    if (args.output is None) != args.verify:
        parser.error('give either -o or --verify')
    with exit_codes(parser.prog):
        if args.verify:
            verify_raw_store(args.input, args.workers)
        else:
            create = create_raw_store if args.codec == 'raw' else create_lmdb
            how = {'workers': args.workers, 'overwrite': args.overwrite}
            create(args.input, args.output, args.labels, **how)


if __name__ == '__main__':
    main()
