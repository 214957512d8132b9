"""The stages of a degradation: blur, resize, noise, JPEG, each with its draws from a `Stage`.

Source:
    Wang et al. (2021), Real-ESRGAN, as implemented in BasicSR 1.4.2
    (basicsr/models/realesrgan_model.py, basicsr/utils/img_process_util.py).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from iqasr.degradation.draws import choose, events, happens, uniform
from iqasr.degradation.jpeg import jpeg
from iqasr.degradation.kernels import draw_blur_kernels
from iqasr.degradation.noise import gaussian_noise, poisson_noise
from iqasr.degradation.options import Stage
from iqasr.runtime.randomness import fork

RESIZE_MODES = {'area': 1.0, 'bilinear': 1.0, 'bicubic': 1.0}
"""Interpolations and their weights."""


def blur(image: Tensor, kernels: Tensor) -> Tensor:
    """Correlate each image with its kernel; borders are mirrored.

    Args:
        image: :math:`(N, 3, H, W)`.
        kernels: :math:`(N, K, K)`, odd :math:`K`, CPU.

    Returns:
        The same shape.
    """
    count, channels, height, width = image.shape
    margin = kernels.shape[-1] // 2
    # an image smaller than the margin cannot be mirrored
    mode = 'reflect' if margin < min(height, width) else 'replicate'
    padded = F.pad(image, [margin] * 4, mode=mode).flatten(0, 1)[None]
    weight = kernels.to(image.dtype).to(image.device, non_blocking=True)
    weight = weight.repeat_interleave(channels, 0)[:, None]
    # Not separable kernels, or images, by themselves: convolutions of few groups are slower.
    return F.conv2d(padded, weight, groups=count * channels).view_as(image)


def random_blur(image: Tensor, stage: Stage, generator: torch.Generator) -> Tensor:
    """Blur each image by its own drawn kernel, or none of them."""
    kernels = draw_blur_kernels(stage, len(image), generator)
    return blur(image, kernels) if happens(stage.blur_prob, generator) else image


def draw_mode(generator: torch.Generator) -> str:
    """Draw an interpolation mode; all are equally likely."""
    return choose(RESIZE_MODES, 1, generator)[0]


def draw_factor(stage: Stage, generator: torch.Generator) -> float:
    """Draw a resize factor; 1 keeps the size."""
    direction = choose(stage.resize_prob, 1, generator)[0]
    smallest, largest = stage.resize_range
    low, high = {'up': (1, largest), 'down': (smallest, 1), 'keep': (1, 1)}[direction]
    return uniform(low, high, 1, generator).item()


def random_noise(image: Tensor, stage: Stage, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise to all images, or Poisson noise to all, each at its own level."""
    count = len(image)
    gray = events(stage.gray_noise_prob, count, generator)
    sigma = uniform(*stage.noise_range, count, generator)
    scale = uniform(*stage.poisson_scale_range, count, generator)
    gaussian = happens(stage.gaussian_noise_prob, generator)
    field_generator = fork(generator, image.device)
    if not gaussian:
        return poisson_noise(image, scale, gray, field_generator)
    field = torch.randn(
        image.shape, generator=field_generator, device=image.device, dtype=image.dtype
    )
    return gaussian_noise(image, sigma, gray, field)


def random_jpeg(image: Tensor, stage: Stage, generator: torch.Generator) -> Tensor:
    """Compress each image at its own drawn quality."""
    return jpeg(image, uniform(*stage.jpeg_range, len(image), generator), stage.jpeg)
