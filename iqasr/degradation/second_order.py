"""Second-order degradation: two rounds of blur, resize, noise and JPEG, and a sinc filter.

Source:
    Wang et al. (2021), Real-ESRGAN, as implemented in BasicSR 1.4.2
    (basicsr/models/realesrgan_model.py).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from iqasr.degradation.base import Degradation
from iqasr.degradation.draws import happens
from iqasr.degradation.kernels import draw_final_kernels
from iqasr.degradation.options import FinalSinc, FirstStage, SecondStage
from iqasr.degradation.stages import (
    blur,
    draw_factor,
    draw_mode,
    random_blur,
    random_jpeg,
    random_noise,
)
from iqasr.registry import DEGRADATION_REGISTRY


@DEGRADATION_REGISTRY.register()
class SecondOrderDegradation(Degradation):
    """Degrades twice; without options as published with Real-ESRGAN.

    The last JPEG compression comes before or after the final reduction and sinc filter, with
    equal probability.

    Args:
        scale: Up-sampling factor to be learnt, >= 1.
        first: What the first round draws from; fields not given have Real-ESRGAN's values.
        second: The same of the second round, whose resize is relative to the final size.
        final_sinc: What the final sinc filter is drawn from.

    Raises:
        ValueError: If a field of an option is unknown or out of range.
    """

    def __init__(
        self,
        *,
        scale: int,
        first: FirstStage | None = None,
        second: SecondStage | None = None,
        final_sinc: FinalSinc | None = None,
    ) -> None:
        super().__init__(scale=scale)
        self.first = FirstStage.model_validate(first or {})
        self.second = SecondStage.model_validate(second or {})
        self.final_sinc = FinalSinc.model_validate(final_sinc or {})

    def degrade(
        self, original: Tensor, size: tuple[int, int], generator: torch.Generator
    ) -> Tensor:
        """Degrade a batch; see `Degradation.degrade`."""
        image = random_blur(original, self.first, generator)
        factor, mode = draw_factor(self.first, generator), draw_mode(generator)
        image = F.interpolate(image, scale_factor=factor, mode=mode)
        image = random_noise(image, self.first, generator)
        image = random_jpeg(image, self.first, generator)

        image = random_blur(image, self.second, generator)
        factor, mode = draw_factor(self.second, generator), draw_mode(generator)
        image = F.interpolate(image, [int(side * factor) for side in size], mode=mode)
        image = random_noise(image, self.second, generator)

        if happens(0.5, generator):
            return random_jpeg(self.finish(image, size, generator), self.second, generator)
        return self.finish(random_jpeg(image, self.second, generator), size, generator)

    def finish(self, image: Tensor, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Resize to the final size and apply the sinc filters."""
        image = F.interpolate(image, size, mode=draw_mode(generator))
        return blur(image, draw_final_kernels(self.final_sinc, len(image), generator))
