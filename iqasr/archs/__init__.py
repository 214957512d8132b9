"""Backbones beside those of BasicSR, which its registry holds already; discriminators."""

from iqasr.archs.bicubic import Bicubic
from iqasr.archs.patch_discriminator import PatchDiscriminator
from iqasr.archs.rrdb_pixel_shuffle import RRDBPSNet
from iqasr.archs.spandrel_networks import spandrel
from iqasr.archs.waifu2x_cunet import CUNet
