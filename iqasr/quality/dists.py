"""DISTS: similarity of structure and texture in the features of VGG16.

Source:
    Ding, Ma, Wang and Simoncelli (2020), Image quality assessment: Unifying structure and texture
    similarity, IEEE TPAMI. Written here; the weights of the channels are theirs (MIT), those of
    VGG16 ImageNet's. On seven pairs of photographs, with even and odd sides, the scores differ by
    less than 1e-6 from those of the package DISTS_pytorch 0.1, without its resizing. Deviation: the
    covariance is that of centred features, so that an image is at exactly 0 to itself.
"""

import itertools

import torch
from torch import Tensor, nn

from iqasr.pretrained import load_weights
from iqasr.quality.base import QualityScorer, digest_of
from iqasr.quality.features import L2Pool, build_vgg16, paired_features
from iqasr.registry import SCORER_REGISTRY

STABILITY = 1e-6
"""Added to numerators and denominators."""


@SCORER_REGISTRY.register()
class DISTSScorer(QualityScorer):
    r"""DISTS, the distance in structure and texture to a reference; differentiable.

    .. math:: 1 - \sum_{lc} \left( \alpha_{lc} \frac{2 \mu_x \mu_y + \epsilon}{\mu_x^2 + \mu_y^2 +
        \epsilon} + \beta_{lc} \frac{2 \sigma_{xy} + \epsilon}{\sigma_x^2 + \sigma_y^2 + \epsilon}
        \right)

    over the channels of the images and of five stages; :math:`\alpha` and :math:`\beta` sum to 1.

    Raises:
        MissingWeightsError: If weights are neither here nor can be fetched.
    """

    name = 'dists'
    needs_reference = lower_better = differentiable = True
    score_range = (-1.0, 0.0)
    min_size = 32

    def __init__(self) -> None:
        super().__init__()
        backbone, shares = load_weights('vgg16'), load_weights('dists')
        self.stages = build_vgg16(backbone, [L2Pool()])
        self.shares = nn.Parameter(torch.cat([shares['alpha'], shares['beta']]).flatten(1))
        self.version = f'0.1 {digest_of(backbone | shares)}'

    def _score(self, image: Tensor, reference: Tensor | None = None) -> Tensor:
        pairs = paired_features(self.stages, image, reference)
        own = [(image, reference.detach())]
        compared = [similarity(x, y) for x, y in itertools.chain(own, pairs)]
        alpha, beta = self.shares / self.shares.sum()
        means, structures = (torch.cat(part, 1) for part in zip(*compared, strict=True))
        return 1 - means @ alpha - structures @ beta


def similarity(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Compare features, :math:`(N, C, H, W)`, by channel: their means, and their structure.

    Returns:
        :math:`(N, C)` each; 1 where they are equal.
    """
    mean_x, mean_y = (features.mean((2, 3), keepdim=True) for features in (x, y))
    return tuple(
        relate(*(product.mean((2, 3)) for product in (a * a, b * b, a * b)))
        for a, b in ((mean_x, mean_y), (x - mean_x, y - mean_y))
    )


def relate(xx: Tensor, yy: Tensor, xy: Tensor) -> Tensor:
    """Relate the product of two quantities to their squares: 1 where they are equal."""
    return (2 * xy + STABILITY) / (xx + yy + STABILITY)
