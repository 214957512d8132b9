"""NIMA on MobileNet: how well photographs like this one are rated; no code but ours is needed.

Source:
    Talebi and Milanfar (2018), NIMA: Neural image assessment, IEEE Transactions on Image
    Processing. Network: Howard et al. (2017), MobileNets, arXiv 1704.04861, width 1. Weights: the
    aesthetic ones of https://github.com/idealo/image-quality-assessment (Apache-2.0), trained on
    AVA. Deviation: the published code scores the image reduced to 224 x 224, which `view: whole`
    does (smoothly, not by the nearest pixel); crops at full resolution agree better with people on
    outputs of super-resolution.
"""

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from iqasr.pretrained import locate_weights
from iqasr.quality.base import QualityScorer, digest_of
from iqasr.registry import SCORER_REGISTRY
from iqasr.runtime.crops import tiles_within
from iqasr.runtime.weights import load_file

STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
"""Of the depthwise convolution in each block."""

NORM_EPSILON = 1e-3
"""What batch normalisation adds to the variance, as Keras does."""

CROPS_PER_PASS = {'cpu': 16, 'cuda': 256}
"""Crops that pass the network together where there is no gradient; this bounds the memory."""

TRAINED_SIZE = 224
"""Side of the images that the network was trained on, in pixels."""


@SCORER_REGISTRY.register()
class NIMAScorer(QualityScorer):
    """The mean rating, 1 to 10, that NIMA expects of a photograph; MobileNet, differentiable.

    The network averages over places before it judges, so that it takes crops of any size. Crops lie
    at even distances; where they are fewer than cover the image, so do they. An image that is
    smaller than a crop is one crop. In training, ``crop: 256`` scores an output of 256 px in one
    pass instead of four.

    Not pyiqa's ``nima``, which is another network with other weights.

    Args:
        view: ``crops`` averages over crops at full resolution; ``whole`` reduces or enlarges the
            image to 224 x 224 pixels.
        crop: Side of the crops, in pixels; 96 or more.
        max_crops: Most crops of an image.
        weights: Name of the weights (``iqasr-weights list``), or a file of such ones.

    Raises:
        ValueError: If `crop` is too small, or the weights are of another network.
        MissingWeightsError: If the weights are neither here nor can be fetched.
    """

    score_range = (1.0, 10.0)
    min_size = 96
    differentiable = True

    def __init__(
        self,
        *,
        view: Literal['crops', 'whole'] = 'crops',
        crop: PositiveInt = TRAINED_SIZE,
        max_crops: PositiveInt = 64,
        weights: str = 'nima',
    ) -> None:
        super().__init__()
        if crop < self.min_size:
            raise ValueError(f'crop is {crop} pixels; use {self.min_size} or more.')
        self.view, self.crop, self.max_crops = view, crop, max_crops
        state = load_file(locate_weights(weights))
        try:
            self.network = build_mobilenet(state)
        except (KeyError, RuntimeError) as error:
            raise ValueError(f'{weights}: not of NIMA on MobileNet ({error}).') from error
        self.name = 'nima-mobilenet'
        places = f'crops of {crop} px, at most {max_crops}' if view == 'crops' else 'whole image'
        self.version = f'{digest_of(state)} {places}'

    def _score(self, image: Tensor, reference: Tensor | None = None) -> Tensor:
        if self.view == 'whole':
            size = (TRAINED_SIZE, TRAINED_SIZE)
            return self._rate(F.interpolate(image, size, mode='bilinear', antialias=True))
        places = tiles_within(image.shape[2:], self.crop, self.max_crops)
        crops = torch.cat([image[..., rows, columns] for rows, columns in places])
        limit = CROPS_PER_PASS.get(crops.device.type, CROPS_PER_PASS['cpu'])
        count = len(crops) if crops.requires_grad else limit
        scores = torch.cat([self._rate(part) for part in crops.split(count)])
        return scores.unflatten(0, (len(places), -1)).mean(0)

    def _rate(self, image: Tensor) -> Tensor:
        shares = self.network(2 * image - 1)
        return shares @ torch.arange(1.0, 11.0, device=shares.device)


def build_mobilenet(weights: Mapping[str, Tensor]) -> nn.Sequential:
    """Build MobileNet with shares of ten ratings at its end.

    Args:
        weights: ``conv1``, ``blocks.0.dw`` and ``blocks.0.pw`` to ``blocks.12.*``, each with its
            batch normalisation (``conv1_bn``, ...), which is folded into it; ``head``.

    Returns:
        From :math:`(N, 3, H, W)` in [-1, 1] to :math:`(N, 10)`, rows that sum to 1.
    """
    names = ['conv1', *(f'blocks.{i}.{kind}' for i in range(len(STRIDES)) for kind in ('dw', 'pw'))]
    strides = [2, *(stride for block in STRIDES for stride in (block, 1))]
    layers: list[nn.Module] = []
    for name, stride in zip(names, strides, strict=True):
        # As in Keras, whose padding is on one side where the stride is 2.
        layers += [nn.ZeroPad2d((0, 1, 0, 1))] if stride == 2 else []
        layers += [fold_norm(weights, name, stride), nn.ReLU6(inplace=True)]
    head = nn.Linear(*reversed(weights['head.weight'].shape))
    head.load_state_dict({part: weights[f'head.{part}'] for part in ('weight', 'bias')})
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head, nn.Softmax(1))


def fold_norm(weights: Mapping[str, Tensor], name: str, stride: int) -> nn.Conv2d:
    """Build a convolution that includes the batch normalisation after it.

    A kernel of one input channel is that of a depthwise convolution.
    """
    kernel = weights[f'{name}.weight']
    gain, bias, mean, variance = (
        weights[f'{name}_bn.{part}'] for part in ('weight', 'bias', 'running_mean', 'running_var')
    )
    gain = gain / (variance + NORM_EPSILON).sqrt()
    outputs, inputs, size, _ = kernel.shape
    groups = outputs if inputs == 1 else 1
    padding = size // 2 if stride == 1 else 0
    layer = nn.Conv2d(inputs * groups, outputs, size, stride, padding, groups=groups)
    folded = {'weight': kernel * gain.view(-1, 1, 1, 1), 'bias': bias - mean * gain}
    layer.load_state_dict(folded)
    return layer
