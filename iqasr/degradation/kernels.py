r"""Blur kernels: formulas, and how their parameters are drawn.

All kernels of a batch are made at once on the grid of the largest: a smaller one is zero outside
its own square.

Source:
    Wang et al. (2021), Real-ESRGAN, sections 3.1-3.3, as implemented in BasicSR 1.4.2
    (basicsr/data/degradations.py, basicsr/data/realesrgan_dataset.py), stated there for one
    kernel at a time.
"""

import math

import torch
from torch import Tensor

from iqasr.degradation.draws import choose, events, uniform
from iqasr.degradation.options import FinalSinc, Stage


def gaussian_kernels(
    size: Tensor,
    sigma_x: Tensor,
    sigma_y: Tensor,
    rotation: Tensor,
    beta: Tensor,
    plateau: Tensor,
) -> Tensor:
    r"""Make kernels that fall off with the Mahalanobis distance :math:`d` from their centre.

    .. math:: k \propto e^{-(d^2)^\beta / 2}
        \quad\text{or, for a plateau,}\quad k \propto 1 / (1 + (d^2)^\beta)

    Args:
        size: Side of each kernel, :math:`(N,)`, odd, in pixels.
        sigma_x: Standard deviation along the first axis, :math:`(N,)`, in pixels.
        sigma_y: Standard deviation along the second axis, :math:`(N,)`, in pixels.
        rotation: Angle of the axes, :math:`(N,)`, in radians.
        beta: Exponent, :math:`(N,)`; 1 with no plateau is the ordinary Gaussian.
        plateau: Which are plateaus, :math:`(N,)` bool.

    Returns:
        :math:`(N, K, K)` with the largest size :math:`K`, float64, each summing to 1.
    """
    x, y = grid(size)
    sigma_x, sigma_y, rotation, beta, plateau = (
        value.view(-1, 1, 1) for value in (sigma_x, sigma_y, rotation, beta, plateau)
    )
    along = (x * rotation.cos() + y * rotation.sin()) / sigma_x
    across = (y * rotation.cos() - x * rotation.sin()) / sigma_y
    power = (along**2 + across**2) ** beta
    return normalised(torch.where(plateau, 1 / (1 + power), torch.exp(-power / 2)), size)


def sinc_kernels(size: Tensor, cutoff: Tensor) -> Tensor:
    r"""Make circular low-pass filters, which ring.

    .. math:: k \propto J_1(\omega_c r) / r

    Args:
        size: Side of each filter, :math:`(N,)`, odd, in pixels; 1 leaves an image unchanged.
        cutoff: Cut-off frequency :math:`\omega_c`, :math:`(N,)`, in radians per pixel; at most pi.

    Returns:
        :math:`(N, K, K)` with the largest size :math:`K`, float64, each summing to 1.
    """
    x, y = grid(size)
    radius = torch.hypot(x, y)
    cutoff = cutoff.view(-1, 1, 1)
    ring = torch.special.bessel_j1(cutoff * radius) / radius
    return normalised(torch.where(radius == 0, cutoff / 2, ring), size)


def grid(size: Tensor) -> tuple[Tensor, Tensor]:
    """Column and row coordinates, each :math:`(K, K)`, zero at the centre."""
    half = int(size.max()) // 2
    y, x = torch.meshgrid(*[torch.arange(-half, half + 1.0).double()] * 2, indexing='ij')
    return x, y


def normalised(kernels: Tensor, size: Tensor) -> Tensor:
    """Cut each kernel to its own size and let it sum to 1."""
    x, y = grid(size)
    inside = torch.maximum(x.abs(), y.abs()) <= (size // 2).view(-1, 1, 1)
    kernels = torch.where(inside, kernels, 0.0)
    return kernels / kernels.sum((1, 2), keepdim=True)


def draw_blur_kernels(stage: Stage, count: int, generator: torch.Generator) -> Tensor:
    """Draw the blur kernels of a batch.

    Args:
        stage: What to draw from.
        count: Number of images.
        generator: CPU generator.

    Returns:
        :math:`(N, K, K)`, float64, each summing to 1.
    """
    size = draw_sizes(stage.blur_kernel_size, count, generator)
    kinds = choose(stage.kernel_prob, count, generator)
    anisotropic, generalized, plateau = (
        torch.tensor([word in kind for kind in kinds])
        for word in ('aniso', 'generalized', 'plateau')
    )
    sigma_x = uniform(*stage.blur_sigma, count, generator)
    sigma_y = uniform(*stage.blur_sigma, count, generator)
    rotation = uniform(-math.pi, math.pi, count, generator)
    betag = draw_around_one(stage.betag_range, count, generator)
    betap = draw_around_one(stage.betap_range, count, generator)
    beta = torch.where(generalized, betag, torch.where(plateau, betap, 1.0))
    sigma_y = torch.where(anisotropic, sigma_y, sigma_x)
    gaussian = gaussian_kernels(size, sigma_x, sigma_y, rotation, beta, plateau)

    # a small filter with a low cut-off frequency would not ring but only blur
    lowest = torch.where(size < 13, math.pi / 3, math.pi / 5)
    sinc = sinc_kernels(size, uniform(lowest, math.pi, count, generator))
    chosen = events(stage.sinc_prob, count, generator)
    return torch.where(chosen.view(-1, 1, 1), sinc, gaussian)


def draw_final_kernels(options: FinalSinc, count: int, generator: torch.Generator) -> Tensor:
    """Draw the final sinc filters of a batch; a filter of one pixel where there is none.

    Args:
        options: What to draw from.
        count: Number of images.
        generator: CPU generator.

    Returns:
        :math:`(N, K, K)`, float64, each summing to 1.
    """
    size = draw_sizes(options.kernel_size, count, generator)
    cutoff = uniform(math.pi / 3, math.pi, count, generator)
    chosen = events(options.prob, count, generator)
    return sinc_kernels(torch.where(chosen, size, 1), cutoff)


def draw_sizes(sizes: tuple[int, int], count: int, generator: torch.Generator) -> Tensor:
    """Draw odd kernel sizes uniformly; :math:`(count,)` int64."""
    smallest, largest = sizes
    steps = (largest - smallest) // 2 + 1
    return smallest + 2 * torch.randint(steps, (count,), generator=generator)


def draw_around_one(bounds: tuple[float, float], count: int, generator: torch.Generator) -> Tensor:
    """Draw from below 1 as often as from above, uniformly on either side; :math:`(count,)`."""
    below = uniform(bounds[0], 1, count, generator)
    above = uniform(1, bounds[1], count, generator)
    return torch.where(events(0.5, count, generator), below, above)
