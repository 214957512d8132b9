"""Tell which option files of a folder run: ours, BasicSR's, Real-ESRGAN's, LDL's, HGGT's.

Usage:
    python scripts/check_options.py options
    python scripts/check_options.py ../Real-ESRGAN/options
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import iqasr  # noqa: F401 - prepares the import of basicsr
from iqasr.dialects.survey import survey
from iqasr.options import OptionError


def main() -> None:
    """Parse the command line and print a line per file."""
    parser = argparse.ArgumentParser(description='Which option files of a folder run here?')
    parser.add_argument('folder', help='holds option files (.yml), at any depth')
    args = parser.parse_args()
    try:
        for name, verdict in survey(args.folder):
            sys.stdout.write(f'{name}: {verdict}\n')
    except OptionError as error:
        parser.exit(2, f'{parser.prog}: {error}\n')


if __name__ == '__main__':
    main()
