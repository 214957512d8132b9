"""Gaussian and Poisson noise, in colour or in grey.

Source:
    Wang et al. (2021), Real-ESRGAN, section 3.1, as implemented in BasicSR 1.4.2
    (basicsr/data/degradations.py, ``*_noise_pt``). Deviation: BasicSR gives all grey images of a
    batch one and the same Gaussian field; here each has its own.
"""

import torch
from torch import Tensor
from torchvision.transforms.functional import rgb_to_grayscale


def per_image(values: Tensor, image: Tensor) -> Tensor:
    """Bring one CPU value per image to the image's device, without waiting for the device."""
    if values.is_floating_point():
        values = values.to(image.dtype)
    return values.to(image.device, non_blocking=True).view(-1, 1, 1, 1)


def gaussian_noise(image: Tensor, sigma: Tensor, gray: Tensor, field: Tensor) -> Tensor:
    """Add Gaussian noise.

    Args:
        image: :math:`(N, 3, H, W)`, RGB float32, [0, 1].
        sigma: Standard deviation of each image's noise, :math:`(N,)`, in 8-bit grey levels, CPU.
        gray: Which images get the same noise in all channels, :math:`(N,)` bool, CPU.
        field: Standard normal numbers of the shape of `image`; the first channel serves all
            where `gray`.

    Returns:
        Noisy image, clamped to [0, 1].
    """
    field = torch.where(per_image(gray, image), field[:, :1], field)
    return (image + field * per_image(sigma, image) / 255).clamp_(0, 1)


def poisson_noise(
    image: Tensor, scale: Tensor, gray: Tensor, generator: torch.Generator | None
) -> Tensor:
    """Add Poisson (shot) noise: its variance grows with the brightness.

    Args:
        image: :math:`(N, 3, H, W)`, RGB float32, [0, 1].
        scale: Factor on each image's noise, :math:`(N,)`, CPU; 1 counts one photon per grey
            level.
        gray: Which images get one noise in all channels, made from their luma, :math:`(N,)`
            bool, CPU.
        generator: Generator on the device of `image`.

    Returns:
        Noisy image, clamped to [0, 1].
    """
    gray = per_image(gray, image)
    base = torch.where(gray, rgb_to_grayscale(image), image)
    base = torch.clamp((base * 255).round(), 0, 255) / 255
    photons = photons_at_white(base)
    noise = torch.poisson(base * photons, generator=generator) / photons - base
    noise = torch.where(gray, noise[:, :1], noise)
    return (image + noise * per_image(scale, image)).clamp_(0, 1)


def photons_at_white(image: Tensor) -> Tensor:
    """Count the grey levels an image uses, rounded up to a power of two.

    Unlike `torch.unique`, this does not wait for a device.

    Args:
        image: :math:`(N, 3, H, W)`, multiples of 1/255 in [0, 1].

    Returns:
        :math:`(N, 1, 1, 1)`, one of 1, 2, 4, ..., 256.
    """
    level = (image * 255).round().to(torch.int64).flatten(1)
    used = image.new_zeros(len(image), 256).scatter_(1, level, 1.0).sum(1, keepdim=True)
    powers = 2.0 ** torch.arange(8, device=image.device)
    return (2.0 ** (used > powers).sum(1)).view(-1, 1, 1, 1)
