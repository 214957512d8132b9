"""Whether a score can still rise above that of what the network makes before it is trained on it.

Source:
    None: the rule and its limits were written here.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from iqasr.runtime.distributed import mean_over_processes

REDUCTION = 4
"""Factor by which the ground truth is reduced and enlarged: an image that can surely gain."""

FULL = 0.95
"""Normalised quality from which on there is no room."""

FLAT_SLOPE = 0.01
"""Share of the gradient on the enlargement below which there is no room."""


class Headroom(NamedTuple):
    """What a score says of a batch; means over images and processes."""

    output: float
    """Normalised quality of the network's output."""
    gt: float
    """Normalised quality of the ground truth."""
    slope: float
    """Norm of the gradient per pixel on the output, over that on a bicubic enlargement."""

    @property
    def is_finite(self) -> bool:
        """Whether there is a score and a gradient at all."""
        return not (math.isnan(self.output) or math.isnan(self.slope))

    @property
    def is_saturated(self) -> bool:
        """Whether there is hardly anything to gain."""
        return self.output >= FULL or self.slope < FLAT_SLOPE


def measure_headroom(quality: Callable[[Tensor], Tensor], output: Tensor, gt: Tensor) -> Headroom:
    """Measure how near a score is to its end; all processes get the same result.

    Args:
        quality: Function from images to their normalised quality, :math:`(N,)`.
        output: What the network makes, :math:`(N, 3, H, W)` RGB in [0, 1]; H, W >= 4.
        gt: Ground truth, alike.
    """
    reduced = [side // REDUCTION for side in gt.shape[-2:]]
    small = F.interpolate(gt, reduced, mode='bicubic', antialias=True).clamp(0, 1)
    enlarged = F.interpolate(small, gt.shape[-2:], mode='bicubic', antialias=True).clamp(0, 1)
    own, own_power = mean_and_power(quality, output)
    _, enlarged_power = mean_and_power(quality, enlarged)
    with torch.no_grad():
        best = quality(gt).mean()
    found = mean_over_processes(torch.stack([own, best, own_power, enlarged_power]))
    slope = (found[2] / found[3]).sqrt()
    return Headroom(*torch.stack([found[0], found[1], slope]).tolist())


def mean_and_power(quality: Callable[[Tensor], Tensor], image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean quality of images, and the mean square of its gradient to their pixels."""
    image = image.detach().requires_grad_()
    with torch.enable_grad():
        value = quality(image)
        (gradient,) = torch.autograd.grad(value.sum(), image)
    return value.detach().mean(), gradient.square().mean()
