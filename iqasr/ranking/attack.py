"""The attack every scorer must stand: change no pixel visibly, raise the score.

Source:
    Kurakin et al. (2017), Adversarial examples in the physical world (I-FGSM); Antsiferova et al.
    (2024), Comparing the robustness of modern no-reference image- and video-quality metrics to
    adversarial attacks, AAAI, where no-reference scorers are attacked so.
"""

from collections.abc import Callable
from importlib import resources

import numpy as np
import torch
from torch import Tensor

EPSILON = 2 / 255
"""Largest change of a pixel, invisible in most places."""


def attack(
    quality: Callable[[Tensor], Tensor],
    image: Tensor,
    *,
    epsilon: float = EPSILON,
    steps: int = 10,
    start: Tensor | None = None,
) -> Tensor:
    """Raise quality by signed gradient steps.

    Args:
        quality: From images to one number each; differentiable.
        image: :math:`(N, 3, H, W)` RGB in [0, 1].
        epsilon: Largest change of a pixel.
        steps: How many; each changes a pixel by ``2.5 epsilon / steps``, or by epsilon if one.
        start: Change to start from; None for none.

    Returns:
        The attacked images in [0, 1], detached.
    """
    size = epsilon if steps == 1 else 2.5 * epsilon / steps
    image = image.detach()
    attacked = image if start is None else image + start
    for _ in range(steps):
        attacked = attacked.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(quality(attacked).sum(), attacked)
        stepped = attacked.detach() + size * gradient.sign()
        attacked = torch.clamp(stepped, image - epsilon, image + epsilon).clamp(0, 1)
    return attacked.detach()


def niqe_to_attack() -> Callable[[Tensor], Tensor]:
    """Make a NIQE that has a gradient, in part, to find attacks on `NIQEScorer` through.

    It is that of pyiqa, with the parameters in basicsr's package; the shape parameter of its
    distributions is looked up in a table and gives no gradient.
    """
    from pyiqa.archs.niqe_arch import calculate_niqe

    path = resources.files('basicsr.metrics') / 'niqe_pris_params.npz'
    with path.open('rb') as file, np.load(file) as arrays:
        mean, covariance = (
            torch.from_numpy(arrays[name]) for name in ('mu_pris_param', 'cov_pris_param')
        )
    return lambda image: -calculate_niqe(image, mu_pris_param=mean, cov_pris_param=covariance)
