"""Softmax sampling of ground-truth candidates.

Source:
    Zhang et al. (2025), Augmenting perceptual super-resolution via image quality predictors, CVPR:
    a ground truth is drawn from the softmax of its candidates' quality. Written here; the
    temperature, which the paper's description leaves open, is in units of the quality.
"""

import math
from typing import Any

from torch import Tensor

from iqasr.registry import GT_SAMPLER_REGISTRY
from iqasr.sampling.base import GTSampler


@GT_SAMPLER_REGISTRY.register()
class SoftmaxSampler(GTSampler):
    r"""Draws candidate :math:`k` with probability proportional to :math:`\exp(q_k / T)`.

    Args:
        temperature: :math:`T`, in units of the quality; > 0. Towards 0 the best candidate is
            always drawn, towards infinity the draw is uniform.
        common: Arguments of `GTSampler`.

    Raises:
        ValueError: If `temperature` is not positive and finite.

    Example:
        >>> quality = Tensor([[0.0, 1.0, float('-inf')]])
        >>> SoftmaxSampler(temperature=1.0).probabilities(quality)
        tensor([[0.2689, 0.7311, 0.0000]])
    """

    def __init__(self, temperature: float, **common: Any) -> None:
        if not 0 < temperature < math.inf:
            raise ValueError(
                f'temperature is {temperature}; use a positive number, in units of the quality.'
            )
        super().__init__(**common)
        self.temperature = temperature

    def _probabilities(self, quality: Tensor) -> Tensor:
        # Relative to the best, so that a small temperature overflows towards -inf only.
        return ((quality - quality.amax(1, keepdim=True)) / self.temperature).softmax(1)
