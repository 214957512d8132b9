"""Workarounds for dependencies that no other test meets."""

import subprocess
import sys

QUIET = """
import iqasr
from basicsr.archs.swinir_arch import SwinIR
from torchvision.models import vgg
SwinIR(img_size=16, window_size=8, depths=[2], num_heads=[2], embed_dim=12)
vgg.vgg11(pretrained=False)
"""


def test_what_no_user_can_change_is_not_warned_of():
    done = subprocess.run([sys.executable, '-c', QUIET], capture_output=True, text=True, check=True)
    assert done.stderr == ''
