"""LPIPS and ST-LPIPS: weighted distances of the features of a network.

Source:
    Zhang et al. (2018), The unreasonable effectiveness of deep features as a perceptual metric,
    CVPR, version 0.1. Ghildyal and Liu (2022), Shift-tolerant perceptual similarity metric, ECCV.
    Written here; the weights are theirs (BSD-2-Clause), those of AlexNet and VGG16 below LPIPS
    ImageNet's. On seven pairs of photographs, with even and odd sides, the scores differ by less
    than 1e-6 from those of the packages lpips 0.1.4 and stlpips-pytorch 0.0.2. Deviation: the
    gradient is finite where all features are 0.
"""

from collections.abc import Mapping
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from iqasr.pretrained import load_weights
from iqasr.quality.base import QualityScorer, digest_of
from iqasr.quality.features import Blur, build_alexnet, build_vgg16, paired_features
from iqasr.registry import SCORER_REGISTRY


class FeatureDistance(QualityScorer):
    r"""Distance of two images in the features of a network.

    .. math:: \sum_l \operatorname{mean}_{hw} \sum_c w_{lc} (\hat x_{lchw} - \hat y_{lchw})^2

    where :math:`\hat x_l` are the features after stage :math:`l`, of unit norm at each place.

    Args:
        stages: The stages of the network.
        heads: The weight of each channel, :math:`(1, C, 1, 1)`, >= 0, for each stage.
    """

    needs_reference = lower_better = differentiable = True
    score_range = (-1.0, 0.0)  # without end in theory; seldom worse
    min_size = 32

    def __init__(self, stages: nn.ModuleList, heads: list[Tensor]) -> None:
        super().__init__()
        self.stages = stages
        self.heads = nn.ParameterList(heads)

    def _score(self, image: Tensor, reference: Tensor | None = None) -> Tensor:
        features = paired_features(self.stages, image, reference)
        return sum(
            (head * (to_unit(x) - to_unit(y)).square()).sum(1).mean((1, 2))
            for head, (x, y) in zip(self.heads, features, strict=True)
        )


def to_unit(features: Tensor) -> Tensor:
    """Divide features, :math:`(N, C, H, W)`, by their norm at each place; zeros stay zeros."""
    return F.normalize(features, dim=1, eps=1e-10)


@SCORER_REGISTRY.register()
class LPIPSScorer(FeatureDistance):
    """LPIPS, the perceptual distance to a reference; differentiable.

    Args:
        net: AlexNet, with which it is mostly reported, or VGG16, more often used as a loss.

    Raises:
        MissingWeightsError: If weights are neither here nor can be fetched.
    """

    def __init__(self, net: Literal['alex', 'vgg'] = 'alex') -> None:
        backbone = load_weights('alexnet' if net == 'alex' else 'vgg16')
        heads = part_of(load_weights('lpips'), net)
        if net == 'alex':
            stages = build_alexnet(backbone)
        else:
            stages = build_vgg16(backbone, [nn.MaxPool2d(2)])
        super().__init__(stages, [heads[f'lin{i}'] for i in range(5)])
        self.name = 'lpips' if net == 'alex' else 'lpips-vgg'
        self.version = f'0.1 {digest_of(backbone | heads)}'


@SCORER_REGISTRY.register()
class STLPIPSScorer(FeatureDistance):
    """ST-LPIPS: LPIPS with a network that tolerates small shifts; differentiable.

    Args:
        net: AlexNet or VGG16.

    Raises:
        MissingWeightsError: If the weights are neither here nor can be fetched.
    """

    def __init__(self, net: Literal['alex', 'vgg'] = 'alex') -> None:
        weights = part_of(load_weights('stlpips'), net)
        if net == 'alex':
            stages = build_alexnet(weights, blurred=True)
        else:
            stages = build_vgg16(weights, [nn.MaxPool2d(2, 1), Blur()])
        super().__init__(stages, [weights[f'lin{i}.model.1.weight'] for i in range(5)])
        self.name = 'stlpips' if net == 'alex' else 'stlpips-vgg'
        self.version = f'0.0 {digest_of(weights)}'


def part_of(weights: Mapping[str, Tensor], net: str) -> dict[str, Tensor]:
    """Take the weights whose names begin with that of a network, without it."""
    start = f'{net}.'
    return {k.removeprefix(start): v for k, v in weights.items() if k.startswith(start)}
