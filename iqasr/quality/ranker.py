"""The packaged ranker: a small network that scores detail and damage; no download.

Source:
    Liu et al. (2017), RankIQA: Learning from rankings for no-reference image quality assessment,
    ICCV. The network is our own; how it is trained: `iqasr.ranking`, what with: the model card,
    iqasr/weights/README.md.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

from iqasr.pretrained import locate_weights
from iqasr.quality.base import QualityScorer
from iqasr.registry import SCORER_REGISTRY
from iqasr.runtime.errors import MissingWeightsError
from iqasr.runtime.paths import packaged_weights

DETAIL_GAIN = 8.0
"""Factor for the detail, which is a tenth of an image's contrast but decides its quality."""

FLAT = 6 / 255
"""Local contrast below which normalisation ends: that is quantisation, not structure."""

LOGIT_GAIN = 8.0
"""Factor for the last layer, which so learns as fast as the others: logits span about 8."""

QUANTUM = 1 / 255
"""Detail of one grey level, added to what is measured: that little is not seen."""

STATISTICS = 6
"""Number of `detail_statistics`."""


class RankerNetwork(nn.Module):
    """Quality is the amount of fine detail, less the damage.

    The detail is a linear function of a few statistics: so few that they can be fitted to some
    dozens of votes (`iqasr.ranking.votes`). The damage is found at every place from its
    surroundings of about 60 pixels, and averaged; it is never negative, so that an undamaged place
    cannot make up for a damaged one.

    The damage is read from the image, its detail (the difference to the mean of 3 x 3 pixels) and
    its normalised contrast (the difference to the mean of 7 x 7 pixels over their standard
    deviation), whose statistics hardly differ between undamaged photographs (Ruderman 1994, The
    statistics of natural images). Averaging before each halving of the resolution, instead of
    strides, and smooth activations give every pixel a gradient.

    Args:
        channels: Features at full, half, quarter and eighth resolution.
    """

    def __init__(self, channels: Sequence[int] = (16, 32, 64, 96)) -> None:
        super().__init__()
        self.channels = list(channels)
        ends = zip([9, *channels[:-1]], channels, strict=True)
        self.stages = nn.ModuleList(convolution(*end) for end in ends)
        self.context = convolution(channels[-1], channels[-1])
        self.judge = nn.Conv2d(channels[-1], 1, 1)
        # A damage of half the scale to begin with: where it is near 0, it has no gradient.
        nn.init.normal_(self.judge.weight, std=0.02)
        nn.init.constant_(self.judge.bias, 4 / LOGIT_GAIN)
        self.detail = nn.Linear(STATISTICS, 1)
        nn.init.zeros_(self.detail.weight)
        nn.init.zeros_(self.detail.bias)

    def forward(self, image: Tensor) -> Tensor:
        """Score images.

        Args:
            image: :math:`(N, 3, H, W)` RGB in [0, 1].

        Returns:
            Quality, :math:`(N,)`, on an open scale.
        """
        return self.detail(detail_statistics(image))[:, 0] - self.damage(image)

    def damage(self, image: Tensor) -> Tensor:
        """Mean damage of images, :math:`(N,)`, at least 0."""
        return F.softplus(self.damage_map(image)).mean((1, 2))

    def damage_map(self, image: Tensor) -> Tensor:
        """Logits of damage, :math:`(N, h, w)`, each of a place of about 8 x 8 pixels."""
        features = torch.cat([2 * image - 1, *detail_of(image)], 1)
        for number, stage in enumerate(self.stages):
            features = F.silu(stage(features if number == 0 else F.avg_pool2d(features, 2)))
        return LOGIT_GAIN * self.judge(features + F.silu(self.context(features)))[:, 0]


def detail_statistics(image: Tensor) -> Tensor:
    """Measure how much fine detail images have.

    Args:
        image: :math:`(N, 3, H, W)` RGB in [0, 1].

    Returns:
        For each channel the logarithm of the detail's mean size, then of its standard deviation,
        :math:`(N, 6)`, natural, in units of full contrast.
    """
    detail = image - local_mean(image, 3)
    size = detail.abs().mean((2, 3)) + QUANTUM
    variance = detail.var((2, 3), correction=0) + QUANTUM**2
    return torch.cat([size.log(), variance.log() / 2], 1)


def detail_of(image: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the detail and the normalised contrast of an image, each of its shape."""
    detail = image - local_mean(image, 3)
    contrast = image - local_mean(image, 7)
    spread = (local_mean(contrast.square(), 7) + FLAT**2).sqrt()
    return DETAIL_GAIN * detail, contrast / spread


def local_mean(image: Tensor, size: int) -> Tensor:
    """Average over `size` x `size` pixels around each; edges are repeated."""
    return F.avg_pool2d(F.pad(image, [size // 2] * 4, 'replicate'), size, 1)


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """Build a 3 x 3 convolution padded by repetition, as zeros would look like an edge."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode='replicate')
    nn.init.kaiming_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


@SCORER_REGISTRY.register()
class RankerScorer(QualityScorer):
    """A small learned scorer of technical quality; packaged, fast, differentiable in all of [0, 1].

    It ranks photographs above ever worse versions of themselves, and outputs of networks as people
    do who voted. It responds to fine detail, blur, noise, compression, ringing, halos and repeated
    patterns, not to content or beauty. It does not replace MUSIQ: its scores compare only with
    each other, best between versions of one picture, as detail depends on what a picture shows.

    The scale is open, since a sigmoid would end the gradient where images are good. In training,
    photographs are drawn towards 4 and their worst versions towards -4; images may lie beyond both.

    Args:
        weights: ``.safetensors`` of scripts/train_ranker.py; None for the packaged ones.

    Raises:
        MissingWeightsError: If there is no such file.
        ValueError: If it holds no ranker.
    """

    name = 'ranker'
    score_range = (-4.0, 4.0)
    min_size = 48
    differentiable = True

    def __init__(self, weights: str | None = None) -> None:
        super().__init__()
        path = (
            packaged_weights('ranker.safetensors') if weights is None else locate_weights(weights)
        )
        self.network = read_ranker(path)
        self.version = f'iqasr detail {hashlib.sha256(path.read_bytes()).hexdigest()[:8]}'

    def _score(self, image: Tensor, reference: Tensor | None = None) -> Tensor:
        return self.network(image)


def read_ranker(path: Path) -> RankerNetwork:
    """Read what `iqasr.ranking.train_ranker` wrote.

    Raises:
        MissingWeightsError: If there is no such file.
        ValueError: If it holds no ranker.
    """
    if not path.is_file():
        raise MissingWeightsError(f'RankerScorer: weights: {path} does not exist.')
    try:
        with safe_open(path, 'pt') as file:
            about: dict[str, Any] = json.loads((file.metadata() or {})['iqasr_ranker'])
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        network = RankerNetwork(about['channels'])
        network.load_state_dict(state)
    except Exception as error:
        reason = str(error).split('\n')[0][:200]
        raise ValueError(
            f'{path}: holds no ranker of this version ({reason}). Give a file of '
            'scripts/train_ranker.py; those of iqasr 0.2 and earlier must be trained again.'
        ) from error
    return network
