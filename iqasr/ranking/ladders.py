"""Ladders: a photograph and ever worse versions of it, so that their order is known.

The severity of a damage runs from 0 (none) to 1 (gross); the scales of the kinds are set so that
the same severity looks about equally bad.

Source:
    Liu et al. (2017), RankIQA: Learning from rankings for no-reference image quality assessment,
    section 3.2: rankings from synthetic distortions at several levels. The kinds and scales here
    are our own; those of over-enhancement and of networks are additions.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from iqasr.degradation.draws import uniform
from iqasr.degradation.jpeg import codec_jpeg
from iqasr.degradation.kernels import gaussian_kernels, sinc_kernels
from iqasr.degradation.noise import gaussian_noise
from iqasr.degradation.stages import blur

Damage: TypeAlias = Callable[[Tensor, float, torch.Generator], Tensor]
"""From :math:`(N, 3, H, W)` in [0, 1], a severity in [0, 1] and a generator to worse images."""

KERNEL_PX = 21


def gaussian_blur(image: Tensor, sigma_px: Tensor | float) -> Tensor:
    """Blur by a Gaussian of the given width, one for all images or one each; > 0."""
    sigma = torch.as_tensor(sigma_px, dtype=torch.float64).expand(len(image))
    one, size = torch.ones_like(sigma), torch.full_like(sigma, KERNEL_PX).long()
    kernels = gaussian_kernels(size, sigma, sigma, 0 * one, one, one < 0)
    return blur(image, kernels)


def blurred(image: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    """Blur by a Gaussian of up to 3 px."""
    return gaussian_blur(image, 3 * severity)


def noisy(image: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise of up to 50 grey levels, in colour or in grey."""
    count = len(image)
    gray = uniform(0, 1, count, generator) < 0.3
    sigma = torch.full((count,), 50 * severity**1.5, dtype=torch.float64)
    return gaussian_noise(image, sigma, gray, torch.randn(image.shape, generator=generator))


def compressed(image: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    """Compress by JPEG at a quality of 95 down to 5."""
    return codec_jpeg(image, torch.full((len(image),), 5 + 90 * (1 - severity) ** 1.4))


def resampled(image: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    """Reduce by up to 5 and enlarge again, bicubically."""
    size = image.shape[-2:]
    small = [max(1, round(side / (1 + 4 * severity))) for side in size]
    small = F.interpolate(image, small, mode='bicubic', antialias=True)
    return F.interpolate(small, size, mode='bicubic', antialias=True).clamp(0, 1)


def ringing(image: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    """Filter by a sinc that cuts off at the highest frequency down to a quarter of it."""
    cutoff = torch.full((len(image),), torch.pi * (1 - 0.75 * severity), dtype=torch.float64)
    kernels = sinc_kernels(torch.full((len(image),), KERNEL_PX), cutoff)
    return blur(image, kernels).clamp(0, 1)


def oversharpened(image: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    """Add up to 4 times what a Gaussian blur removes, far more than pleases: edges get halos."""
    sigma = uniform(0.8, 1.8, len(image), generator)
    return sharpened(image, sigma, 0.25 + 4 * severity**1.3)


def sharpened(image: Tensor, sigma_px: Tensor | float, amount: float) -> Tensor:
    """Add `amount` times what a Gaussian blur of width `sigma_px` removes."""
    return (image + amount * (image - gaussian_blur(image, sigma_px))).clamp(0, 1)


def patterned(image: Tensor, severity: float, generator: torch.Generator) -> Tensor:
    """Add a small tile, repeated, as networks leave it that enlarge by pixel shuffle."""
    period = int(torch.randint(2, 9, (), generator=generator))
    tile = torch.randn(len(image), 3, period, period, generator=generator)
    tile = tile - tile.mean((2, 3), keepdim=True)
    height, width = image.shape[-2:]
    pattern = tile.repeat(1, 1, -(-height // period), -(-width // period))[..., :height, :width]
    return (image + 40 / 255 * severity**1.5 * pattern).clamp(0, 1)


class Restored:
    """From the photograph to what a network restores from its reduction, to bicubic enlargement.

    Args:
        network: Enlarges by `scale`.
        scale: Up-sampling factor.
    """

    def __init__(self, network: nn.Module, scale: int = 4) -> None:
        self.network, self.scale = network.eval().requires_grad_(False), scale

    def __call__(self, image: Tensor, severity: float, generator: torch.Generator) -> Tensor:
        """Mix neighbouring rungs: 0 is the photograph, 0.5 the network's output, 1 bicubic."""
        size = image.shape[-2:]
        small = [side // self.scale for side in size]
        lq = F.interpolate(image, small, mode='bicubic', antialias=True).clamp(0, 1)
        lq = lq.mul(255).round().div(255)
        output = self.network(lq).clamp(0, 1)
        if severity <= 0.5:
            return torch.lerp(image, output, 2 * severity)
        enlarged = F.interpolate(lq, size, mode='bicubic', antialias=True).clamp(0, 1)
        return torch.lerp(output, enlarged, 2 * severity - 1)


KINDS: dict[str, Damage] = {
    'blur': blurred,
    'noise': noisy,
    'jpeg': compressed,
    'resample': resampled,
    'ringing': ringing,
    'sharpen': oversharpened,
    'pattern': patterned,
}
"""Kinds of damage by name; `Restored` adds ``network``."""


def climb_down(
    image: Tensor, damage: Damage, severities: list[float], generator: torch.Generator
) -> Tensor:
    """Damage photographs at several severities.

    Args:
        image: Photographs, :math:`(N, 3, H, W)` RGB in [0, 1].
        damage: One of `KINDS`.
        severities: In [0, 1], ascending; 0 is the photograph itself.
        generator: CPU generator. All severities see the same draws, so that only the severity
            differs between rungs.

    Returns:
        :math:`(N, L, 3, H, W)`, rounded to 8 bits.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    rungs = [
        damage(image, severity, torch.Generator().manual_seed(seed)) if severity else image
        for severity in severities
    ]
    return torch.stack(rungs, 1).mul(255).round().div(255)
