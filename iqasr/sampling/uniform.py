"""Uniform sampling of ground-truth candidates.

Source:
    HGGT draws uniformly among the candidates people prefer (Chen et al. 2023, Human guided
    ground-truth generation for realistic image super-resolution); `candidates: positives` is that.
"""

from torch import Tensor

from iqasr.registry import GT_SAMPLER_REGISTRY
from iqasr.sampling.base import GTSampler


@GT_SAMPLER_REGISTRY.register()
class UniformSampler(GTSampler):
    """Draws every candidate that may be chosen with the same probability.

    Takes the arguments of `GTSampler`; quality matters only with `top_k`.

    Example:
        >>> quality = Tensor([[0.0, 1.0, float('-inf')]])
        >>> UniformSampler().probabilities(quality)
        tensor([[0.5000, 0.5000, 0.0000]])
    """

    needs_quality = False

    def _probabilities(self, quality: Tensor) -> Tensor:
        kept = quality.isfinite().to(quality)
        return kept / kept.sum(1, keepdim=True)
