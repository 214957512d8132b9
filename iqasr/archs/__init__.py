"""Stage 4: backbones beside those of BasicSR, which its registry holds already."""

from iqasr.archs.bicubic import Bicubic
