"""An adversarial attack on scorers: raise the score by a change that is hardly visible.

Source:
    Kurakin et al. (2017), Adversarial examples in the physical world (I-FGSM); Antsiferova et al.
    (2024), Comparing the robustness of modern no-reference image- and video-quality metrics to
    adversarial attacks, AAAI, which attacks no-reference scorers in this way.
"""

from collections.abc import Callable
from importlib import resources

import numpy as np
import torch
from torch import Tensor

EPSILON = 2 / 255
"""Default for the largest change of a pixel, in [0, 1]."""


def attack(
    quality: Callable[[Tensor], Tensor],
    image: Tensor,
    *,
    epsilon: float = EPSILON,
    steps: int = 10,
    start: Tensor | None = None,
) -> Tensor:
    """Raise the quality of images by signed gradient steps.

    Args:
        quality: Differentiable function from images to their quality, :math:`(N,)`.
        image: :math:`(N, 3, H, W)` RGB in [0, 1].
        epsilon: Largest change of a pixel.
        steps: Number of steps, of ``2.5 epsilon / steps`` each; a single step has epsilon.
        start: Change to start from, as `image`; default no change.

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


def differentiable_niqe() -> Callable[[Tensor], Tensor]:
    """Build a NIQE with a partial gradient, as a surrogate to attack `NIQEScorer`.

    It is pyiqa's, with the parameters of BasicSR. The shape parameter of its distributions is
    looked up in a table and has no gradient.
    """
    from pyiqa.archs.niqe_arch import calculate_niqe

    path = resources.files('basicsr.metrics') / 'niqe_pris_params.npz'
    with path.open('rb') as file, np.load(file) as arrays:
        mean, covariance = (
            torch.from_numpy(arrays[name]) for name in ('mu_pris_param', 'cov_pris_param')
        )
    return lambda image: -calculate_niqe(image, mu_pris_param=mean, cov_pris_param=covariance)
