"""NIQE as a scorer."""

import basicsr
import numpy as np
import torch
from torch import Tensor

from iqasr.quality.base import QualityScorer
from iqasr.quality.niqe import niqe
from iqasr.registry import SCORER_REGISTRY
from iqasr.runtime.luma import luma_of


@SCORER_REGISTRY.register()
class NIQEScorer(QualityScorer):
    """How natural the statistics of an image are; without download, GPU or gradient.

    Equal to ``basicsr.metrics.calculate_niqe`` of the 8-bit image without border. It compares
    statistics over blocks of 96 pixels: one block gives no score, and few blocks (192 pixels are
    four) a rough one. A constant image gives NaN.
    """

    name = 'niqe'
    version = f'basicsr-{basicsr.__version__}'
    lower_better = True
    score_range = (-20.0, 0.0)  # without end in theory; sharp photographs score 2 to 6
    min_size = 192

    def _score(self, image: Tensor, reference: Tensor | None = None) -> Tensor:
        pixels = image.mul(255).round().byte().flip(1).permute(0, 2, 3, 1).cpu().numpy()
        values = [niqe(luma_of(np.ascontiguousarray(bgr)).round()) for bgr in pixels]
        return torch.tensor(values, device=image.device)
