"""Tell which option files run: ours, BasicSR's, Real-ESRGAN's, LDL's, HGGT's; as ``iqasr-check``.

Usage:
    python scripts/check_options.py options
    python scripts/check_options.py mine.yml ../Real-ESRGAN/options
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.training.survey import check_command

if __name__ == '__main__':
    sys.exit(check_command())
