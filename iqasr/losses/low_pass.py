"""Gaussian blur, of images and of the gradients to them.

Source:
    none: written here. Smoothing the gradient to an image, so that no pattern finer than the
    filter is learnt from it, is common in feature visualisation (Olah et al. 2017).
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def low_pass(image: Tensor, sigma_px: float) -> Tensor:
    """Blur with a Gaussian, cut off at 3 standard deviations; border pixels are repeated outside.

    Args:
        image: :math:`(N, C, H, W)`, of any size.
        sigma_px: Standard deviation in pixels, > 0.

    Returns:
        The same shape.
    """
    reach, channels = math.ceil(3 * sigma_px), image.shape[1]
    distance = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
    kernel = (-(distance**2) / (2 * sigma_px**2)).softmax(0).repeat(channels, 1, 1, 1)
    along, across = (reach, reach, 0, 0), (0, 0, reach, reach)
    with torch.autocast(image.device.type, enabled=False):
        image = F.conv2d(F.pad(image, along, 'replicate'), kernel, groups=channels)
        return F.conv2d(F.pad(image, across, 'replicate'), kernel.mT, groups=channels)


class LowPassGradient(torch.autograd.Function):
    """The identity, with a blurred gradient: ``LowPassGradient.apply(image, sigma_px)``."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, sigma_px: float) -> Tensor:
        """Return the image, :math:`(N, C, H, W)`."""
        ctx.sigma_px = sigma_px
        return image.view_as(image)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Blur the gradient."""
        return low_pass(gradient, ctx.sigma_px), None
