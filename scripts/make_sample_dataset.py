"""Make a small multi-GT data set from photographs that ship with scikit-image.

Usage:
    python scripts/make_sample_dataset.py -o datasets/sample
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import iqasr  # noqa: F401 - prepares the import of basicsr
from iqasr.data.sample_dataset import make_sample_dataset


def main() -> None:
    """Parse the command line and make the data set."""
    parser = argparse.ArgumentParser(description='A small multi-GT data set, without download.')
    parser.add_argument('-o', '--output', required=True, help='folder to make')
    args = parser.parse_args()
    try:
        make_sample_dataset(args.output)
    except OSError as error:
        sys.exit(f'{parser.prog}: {error}')


if __name__ == '__main__':
    main()
