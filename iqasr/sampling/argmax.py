"""Argmax sampling of ground-truth candidates.

Source:
    Zhang et al. (2025), Augmenting perceptual super-resolution via image quality predictors, CVPR:
    train on the candidate whose crop scores best. Written here.
"""

from torch import Tensor

from iqasr.registry import GT_SAMPLER_REGISTRY
from iqasr.sampling.base import GTSampler


@GT_SAMPLER_REGISTRY.register()
class ArgmaxSampler(GTSampler):
    """Chooses the best candidate; ties share the probability.

    Takes the arguments of `GTSampler`.

    Example:
        >>> quality = Tensor([[0.0, 1.0, float('-inf')], [2.0, 0.0, 2.0]])
        >>> ArgmaxSampler().probabilities(quality)
        tensor([[0.0000, 1.0000, 0.0000],
                [0.5000, 0.0000, 0.5000]])
    """

    def _probabilities(self, quality: Tensor) -> Tensor:
        best = (quality == quality.amax(1, keepdim=True)).to(quality)
        return best / best.sum(1, keepdim=True)
