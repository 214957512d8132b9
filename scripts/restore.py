"""Restore pictures of every kind with a network.

Usage:
    python scripts/restore.py photographs -w realesrgan-x4plus -o restored
    torchrun --nproc_per_node=8 scripts/restore.py photographs -w my_network.safetensors -o restored
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.restoration.commands import restore_command

if __name__ == '__main__':
    sys.exit(restore_command())
