"""The views of an image under which its quality is optimised.

A gain in quality that vanishes when the image is cropped, shifted, rescaled or saved exploits the
scorer and does not improve the image. Averaging over such views removes most of its gradient.

Source:
    Athalye et al. (2018), Synthesizing robust adversarial examples (expectation over
    transformations); Bengio et al. (2013), Estimating or propagating gradients through stochastic
    neurons (straight-through gradient).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from pydantic import BaseModel, NonNegativeInt, PositiveInt, model_validator
from torch import Tensor

from iqasr.degradation import from_uint8, to_uint8
from iqasr.degradation.draws import happens, uniform
from iqasr.degradation.jpeg import jpeg
from iqasr.degradation.options import STRICT, JpegRange, PositiveRange, Range
from iqasr.runtime.unit_range import clamp_to_unit

RANDOM = ('crop', 'shift', 'flip', 'rescale_range', 'noise_range', 'jpeg_range')
"""Options that make views differ from each other."""


class Views(BaseModel):
    """Random views, one draw for a whole batch; without options, the batch as it is."""

    model_config = STRICT

    count: PositiveInt = 1
    """Number of views that quality is averaged over; each costs one pass of the scorer."""
    crop: PositiveInt | None = None
    """Side of a crop at a random place, in pixels; None for the whole image."""
    shift: NonNegativeInt = 0
    """Shift by up to this many pixels either way; views lose a margin of this width."""
    flip: bool = False
    """Mirror every other view left to right."""
    rescale_range: PositiveRange | None = None
    """Resize by a factor between these; 1 keeps the size."""
    noise_range: Range | None = None
    """Add Gaussian noise of a standard deviation between these, in units of 1/255."""
    rounding: bool = False
    """Round to 8 bits, with the gradient of the identity."""
    jpeg_range: JpegRange | None = None
    """Compress at a quality between these (1 to 100), with the gradient of the identity."""

    @model_validator(mode='after')
    def check(self) -> 'Views':
        """Refuse options that do nothing or exclude each other."""
        if self.crop and self.shift:
            raise ValueError('crop and shift exclude each other: a random crop is shifted already')
        if self.count > 1 and not self.random:
            raise ValueError(f'count > 1 needs one of {", ".join(RANDOM)}')
        return self

    @property
    def random(self) -> bool:
        """Whether views differ from each other."""
        return any(getattr(self, name) for name in RANDOM)

    def least_side(self, side: int) -> int:
        """Find the smallest side that a view of a square image of this side can have, in pixels."""
        cut = self.crop or side - 2 * self.shift
        return int(cut * self.rescale_range[0]) if self.rescale_range else cut

    def draw(self, image: Tensor, generator: torch.Generator | None) -> Tensor:
        """Make one view.

        Args:
            image: :math:`(N, 3, H, W)` RGB, clamped to [0, 1].
            generator: CPU generator; None if nothing is `random`.

        Returns:
            :math:`(N, 3, h, w)` RGB.

        Raises:
            ValueError: If the image is smaller than the crop or margin, or there is no generator.
        """
        if self.random and generator is None:
            raise ValueError('views: random views draw from `generator`; give a CPU generator.')
        image = self._cut(clamp_to_unit(image), generator)
        if self.flip and happens(0.5, generator):
            image = image.flip(-1)
        if self.rescale_range:
            factor = uniform(*self.rescale_range, 1, generator).item()
            size = [int(side * factor) for side in image.shape[-2:]]
            image = clamp_to_unit(F.interpolate(image, size, mode='bicubic', antialias=True))
        if self.noise_range:
            sigma = uniform(*self.noise_range, 1, generator).item() / 255
            noise = torch.randn(image.shape[1:], generator=generator).to(image, non_blocking=True)
            image = clamp_to_unit(image + sigma * noise)
        if self.rounding:
            image = straight_through(image, lambda x: from_uint8(to_uint8(x)))
        if self.jpeg_range:
            quality = uniform(*self.jpeg_range, 1, generator).expand(len(image))
            image = straight_through(image, lambda x: jpeg(x, quality))
        return image

    def _cut(self, image: Tensor, generator: torch.Generator | None) -> Tensor:
        if not (self.crop or self.shift):
            return image
        height, width = (self.crop or side - 2 * self.shift for side in image.shape[-2:])
        slack = image.shape[-2] - height, image.shape[-1] - width
        if min(*slack, height - 1, width - 1) < 0:
            raise ValueError(
                f'views: the output has {image.shape[-2]}x{image.shape[-1]} pixels, too few for '
                f'crop {self.crop}, shift {self.shift}; make gt_size larger or these smaller.'
            )
        top, left = (int(torch.randint(end + 1, (), generator=generator)) for end in slack)
        return image[..., top : top + height, left : left + width]


def straight_through(image: Tensor, operation: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply an operation that has no useful gradient, and give it that of the identity."""
    with torch.no_grad():
        result = operation(image)
    return result + (image - image.detach())  # adds 0: the result is exact
