"""Test a network: ``python iqasr/test.py -opt options/test/x.yml``."""

import sys
from pathlib import Path

if __name__ == '__main__':
    # Python puts this file's folder first; the package is found from the one above.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from iqasr.training.commands import test_command

    sys.exit(test_command())
