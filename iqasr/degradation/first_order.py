"""First-order degradation: one round of blur, resize, noise and JPEG, then reduction.

Source:
    Chen et al. (2023), Human Guided Ground-truth Generation (HGGT),
    https://github.com/ChrisDud0257/HGGT, PosNegGTSR/basicsr/models/ours_posgt_model.py.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from iqasr.degradation.base import Degradation
from iqasr.degradation.options import SingleStage
from iqasr.degradation.stages import draw_factor, draw_mode, random_blur, random_jpeg, random_noise
from iqasr.registry import DEGRADATION_REGISTRY


@DEGRADATION_REGISTRY.register()
class FirstOrderDegradation(Degradation):
    """Degrades once, mildly; without options as published with HGGT.

    Args:
        scale: Up-sampling factor to be learnt, >= 1.
        stage: What to draw from; fields that are not given have HGGT's values.

    Raises:
        ValueError: If a field of `stage` is unknown or out of range.
    """

    def __init__(self, *, scale: int, stage: SingleStage | None = None) -> None:
        super().__init__(scale=scale)
        self.stage = SingleStage.model_validate(stage or {})

    def degrade(
        self, original: Tensor, size: tuple[int, int], generator: torch.Generator
    ) -> Tensor:
        """Degrade a batch; see `Degradation.degrade`. Both resizes share one drawn mode."""
        factor, mode = draw_factor(self.stage, generator), draw_mode(generator)
        image = random_blur(original, self.stage, generator)
        image = F.interpolate(image, scale_factor=factor, mode=mode)
        image = random_noise(image, self.stage, generator)
        image = random_jpeg(image, self.stage, generator)
        return F.interpolate(image, size, mode=mode)
