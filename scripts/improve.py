"""Improve a network on your photographs; as the command iqasr-improve.

Usage:
    python scripts/improve.py -w realesr-animevideov3-x4 -i photographs -o results/improved
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.improvement.improve import improve_command

if __name__ == '__main__':
    sys.exit(improve_command())
