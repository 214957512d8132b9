"""NIQE, computed by basicsr from the parameters packaged with it.

Source:
    Mittal et al. (2013), Making a "completely blind" image quality analyzer, IEEE Signal
    Processing Letters; ``basicsr.metrics.niqe``.
"""

import math
import warnings
from importlib import resources

import basicsr
import numpy as np
import torch
from basicsr.metrics.metric_util import to_y_channel
from basicsr.metrics.niqe import niqe
from torch import Tensor

from iqasr.quality.base import QualityScorer
from iqasr.registry import SCORER_REGISTRY


@SCORER_REGISTRY.register()
class NIQEScorer(QualityScorer):
    """How natural the statistics of an image are; needs no download and no GPU, has no gradient.

    Equal to ``basicsr.metrics.calculate_niqe`` of the 8-bit image without border. It compares
    statistics over blocks of 96 pixels: with one block there is no score, with few (192 pixels are
    four blocks) it means little. A constant image has none either and gives NaN.
    """

    name = 'niqe'
    version = f'basicsr-{basicsr.__version__}'
    lower_better = True
    score_range = (-20.0, 0.0)  # without end in theory; sharp photographs score 2 to 6
    min_size = 192

    def __init__(self) -> None:
        super().__init__()
        path = resources.files('basicsr.metrics') / 'niqe_pris_params.npz'
        with path.open('rb') as file, np.load(file) as arrays:
            self._pristine = {
                name: arrays[name]
                for name in ('mu_pris_param', 'cov_pris_param', 'gaussian_window')
            }

    def _score(self, image: Tensor, reference: Tensor | None = None) -> Tensor:
        pixels = image.mul(255).round().permute(0, 2, 3, 1).cpu().numpy()
        return torch.tensor([self._niqe(rgb) for rgb in pixels], device=image.device)

    def _niqe(self, rgb: np.ndarray) -> float:
        """Score one ``(H, W, 3)`` RGB image in [0, 255]; NaN where there is no score."""
        luma = to_y_channel(np.ascontiguousarray(rgb[..., ::-1]))[..., 0].round()
        with warnings.catch_warnings(), np.errstate(all='ignore'):
            warnings.simplefilter('ignore', RuntimeWarning)
            try:
                return niqe(luma, **self._pristine)
            except np.linalg.LinAlgError:
                return math.nan
