"""Distortions, and ladders of them: versions of a photograph whose order is known.

The severity of a distortion runs from 0 (none) to 1 (gross). The scales are set so that the same
severity looks about equally bad for all distortions.

Source:
    Liu et al. (2017), RankIQA: Learning from rankings for no-reference image quality assessment,
    section 3.2: rankings from synthetic distortions at several levels. The distortions and their
    scales are our own; over-sharpening and restoration by networks are additions.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from iqasr.degradation.draws import uniform
from iqasr.degradation.jpeg import codec_jpeg
from iqasr.degradation.kernels import gaussian_kernels, sinc_kernels
from iqasr.degradation.noise import gaussian_noise
from iqasr.degradation.stages import blur

Distortion: TypeAlias = Callable[[Tensor, float, torch.Generator], Tensor]
"""From images, :math:`(N, 3, H, W)` in [0, 1], severity and CPU generator to distorted images."""

KERNEL_PX = 21

SEVERITIES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Severities of a ladder by which scorers are examined."""


def gaussian_blur(image: Tensor, sigma_px: Tensor | float) -> Tensor:
    """Blur by a Gaussian of standard deviation `sigma_px` > 0, one for all images or one each."""
    sigma = torch.as_tensor(sigma_px, dtype=torch.float64).expand(len(image))
    one, size = torch.ones_like(sigma), torch.full_like(sigma, KERNEL_PX).long()
    kernels = gaussian_kernels(size, sigma, sigma, 0 * one, one, one < 0)
    return blur(image, kernels)


def add_blur(image: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    """Blur by a Gaussian of standard deviation 0 to 3 px."""
    return gaussian_blur(image, 3 * severity)


def add_noise(image: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise of standard deviation 0 to 50 grey levels, in colour or in grey."""
    count = len(image)
    gray = uniform(0, 1, count, generator) < 0.3
    sigma = torch.full((count,), 50 * severity**1.5, dtype=torch.float64)
    return gaussian_noise(image, sigma, gray, torch.randn(image.shape, generator=generator))


def compress(image: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    """Compress by JPEG of quality 95 to 5."""
    return codec_jpeg(image, torch.full((len(image),), 5 + 90 * (1 - severity) ** 1.4))


def resample(image: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    """Reduce by a factor of 1 to 5 and enlarge again, both bicubically."""
    size = image.shape[-2:]
    small = [max(1, round(side / (1 + 4 * severity))) for side in size]
    small = F.interpolate(image, small, mode='bicubic', antialias=True)
    return F.interpolate(small, size, mode='bicubic', antialias=True).clamp(0, 1)


def add_ringing(image: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    """Filter by a sinc that cuts off between the highest frequency and a quarter of it."""
    cutoff = torch.full((len(image),), torch.pi * (1 - 0.75 * severity), dtype=torch.float64)
    kernels = sinc_kernels(torch.full((len(image),), KERNEL_PX), cutoff)
    return blur(image, kernels).clamp(0, 1)


def oversharpen(image: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    """Sharpen far too much, up to 4 times the detail and more: edges get halos."""
    sigma = uniform(0.8, 1.8, len(image), generator)
    return sharpen(image, sigma, 0.25 + 4 * severity**1.3)


def sharpen(image: Tensor, sigma_px: Tensor | float, amount: float) -> Tensor:
    """Add `amount` times what a Gaussian blur removes (unsharp masking)."""
    return (image + amount * (image - gaussian_blur(image, sigma_px))).clamp(0, 1)


def add_pattern(image: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    """Add a small repeated tile or lines, as networks do that enlarge by pixel shuffle."""
    period = int(torch.randint(2, 9, (), generator=generator))
    high, wide = ((period, period), (period, 1), (1, period))[
        int(torch.randint(3, (), generator=generator))
    ]
    tile = torch.randn(len(image), 3, high, wide, generator=generator)
    tile = tile - tile.mean((2, 3), keepdim=True)
    height, width = image.shape[-2:]
    pattern = tile.repeat(1, 1, -(-height // high), -(-width // wide))[..., :height, :width]
    return (image + 40 / 255 * severity**1.5 * pattern).clamp(0, 1)


DISTORTIONS: dict[str, Distortion] = {
    'blur': add_blur,
    'noise': add_noise,
    'jpeg': compress,
    'resample': resample,
    'ringing': add_ringing,
    'sharpen': oversharpen,
    'pattern': add_pattern,
}
"""Distortions by name. That of a network (`Restoration.distort`) can be added."""


def make_ladder(
    image: Tensor,
    distortion: Distortion,
    severities: Sequence[float],
    generator: torch.Generator,
) -> Tensor:
    """Distort photographs at several severities.

    Args:
        image: Photographs, :math:`(N, 3, H, W)` RGB in [0, 1].
        distortion: The distortion.
        severities: In [0, 1], ascending; 0 is the photograph itself.
        generator: CPU generator. All severities see the same draws, so that versions differ in
            their severity alone.

    Returns:
        :math:`(N, L, 3, H, W)` in [0, 1], rounded to 8 bits.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    versions = [
        distortion(image, severity, torch.Generator().manual_seed(seed)) if severity else image
        for severity in severities
    ]
    return torch.stack(versions, 1).mul(255).round().div(255)
