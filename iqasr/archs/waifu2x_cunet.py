"""waifu2x's denoising network: two U-Nets, the second of which corrects the output of the first.

Source:
    ``CUNet`` of https://github.com/nagadomi/nunif (``waifu2x/models/cunet.py``, MIT), whose names
    the weights have; squeeze-and-excitation by Hu et al. (2018). Implementation: written here.
    Deviations: it extends its input, so that the output has its size; it returns the corrected
    output alone, also in training; nothing is clamped, as in waifu2x-ncnn-vulkan, whose weights
    are in the catalogue (nunif's clamps what goes into the second).
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from iqasr.archs.sizes import SizeRequirements
from iqasr.registry import ARCH_REGISTRY

CROP_PX = 28
"""By how much the U-Nets shrink an image at each side, 8 and 20."""

MULTIPLE_PX = 4
"""What they divide sides by."""


class ChannelGate(nn.Module):
    """Squeeze-and-excitation: weighs channels by what they are on average over the image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels // 8, 1)
        self.conv2 = nn.Conv2d(channels // 8, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh (N, C, H, W)."""
        mean = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.conv2(F.relu(self.conv1(mean))))


class Convolutions(nn.Module):
    """Two 3x3 convolutions, with a gate or without; sides shrink by 4."""

    def __init__(self, inputs: int, inner: int, outputs: int, *, gated: bool = True) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *(nn.Conv2d(inputs, inner, 3), nn.LeakyReLU(0.1)),
            *(nn.Conv2d(inner, outputs, 3), nn.LeakyReLU(0.1)),
        )
        self.seblock = ChannelGate(outputs) if gated else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """From (N, C, H, W) to (N, C', H - 4, W - 4)."""
        return self.seblock(self.conv(x))


class ShallowUNet(nn.Module):
    """A U-Net of two levels; sides shrink by 16."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Convolutions(3, 32, 64, gated=False)
        self.conv1_down = nn.Conv2d(64, 64, 2, 2)
        self.conv2 = Convolutions(64, 128, 64)
        self.conv2_up = nn.ConvTranspose2d(64, 64, 2, 2)
        self.conv3 = nn.Conv2d(64, 64, 3)
        self.conv_bottom = nn.Conv2d(64, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        """From (N, 3, H, W), even, to (N, 3, H - 16, W - 16)."""
        fine = self.conv1(x)
        coarse = self.conv2(leaky(self.conv1_down(fine)))
        fine = cut(fine, 4) + leaky(self.conv2_up(coarse))
        return self.conv_bottom(leaky(self.conv3(fine)))


class DeepUNet(nn.Module):
    """A U-Net of three levels; sides shrink by 40."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Convolutions(3, 32, 64, gated=False)
        self.conv1_down = nn.Conv2d(64, 64, 2, 2)
        self.conv2 = Convolutions(64, 64, 128)
        self.conv2_down = nn.Conv2d(128, 128, 2, 2)
        self.conv3 = Convolutions(128, 256, 128)
        self.conv3_up = nn.ConvTranspose2d(128, 128, 2, 2)
        self.conv4 = Convolutions(128, 64, 64)
        self.conv4_up = nn.ConvTranspose2d(64, 64, 2, 2)
        self.conv5 = nn.Conv2d(64, 64, 3)
        self.conv_bottom = nn.Conv2d(64, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        """From (N, 3, H, W), multiples of 4, to (N, 3, H - 40, W - 40)."""
        fine = self.conv1(x)
        middle = self.conv2(leaky(self.conv1_down(fine)))
        coarse = self.conv3(leaky(self.conv2_down(middle)))
        middle = cut(middle, 4) + leaky(self.conv3_up(coarse))
        fine = cut(fine, 16) + leaky(self.conv4_up(self.conv4(middle)))
        return self.conv_bottom(leaky(self.conv5(fine)))


@ARCH_REGISTRY.register()
class CUNet(nn.Module):
    """Two U-Nets in cascade, scale 1, 1.3 million parameters; see the module.

    The gates see the whole image, so that tiles differ a little from it.
    """

    size_requirements = SizeRequirements(minimum=CROP_PX + MULTIPLE_PX)

    def __init__(self) -> None:
        super().__init__()
        self.unet1 = ShallowUNet()
        self.unet2 = DeepUNet()
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, mode='fan_out', nonlinearity='relu')
                nn.init.zeros_(layer.bias)

    def forward(self, lq: Tensor) -> Tensor:
        """Restore.

        Args:
            lq: :math:`(N, 3, H, W)` RGB in [0, 1], at least 32 px; extended by reflection.

        Returns:
            :math:`(N, 3, H, W)`, not clamped.
        """
        height, width = lq.shape[-2:]
        rows, columns = -height % MULTIPLE_PX, -width % MULTIPLE_PX
        beyond = (CROP_PX, CROP_PX + columns, CROP_PX, CROP_PX + rows)
        first = self.unet1(F.pad(lq, beyond, 'reflect'))
        return (cut(first, 20) + self.unet2(first))[..., :height, :width]

    @classmethod
    def options_of(cls, weights: Mapping[str, Tensor]) -> dict[str, Any] | None:
        """Tell the options of the network that weights are of; None if it is another."""
        with torch.device('meta'):
            own = cls().state_dict()
        same = {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in weights.items()}
        return {} if same else None


def leaky(x: Tensor) -> Tensor:
    """Keep a tenth of what is negative."""
    return F.leaky_relu(x, 0.1)


def cut(x: Tensor, border: int) -> Tensor:
    """Cut pixels off at each side of (N, C, H, W)."""
    return x[..., border:-border, border:-border]
