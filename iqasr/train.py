"""Train a network: ``python iqasr/train.py -opt options/train/x.yml``."""

import sys
from pathlib import Path

if __name__ == '__main__':
    # Python puts this file's folder first; the package is found from the one above.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from iqasr.training.commands import train_command

    sys.exit(train_command())
