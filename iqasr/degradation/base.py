"""The base class of degradations, and images in 8 bits."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor


def to_uint8(image: Tensor) -> Tensor:
    """Store an image in 8 bits.

    Args:
        image: Any shape, [0, 1]; clamped, then rounded to the nearest multiple of 1/255.

    Returns:
        The same shape, uint8 in [0, 255].
    """
    return image.mul(255).round_().clamp_(0, 255).to(torch.uint8)


def from_uint8(image: Tensor) -> Tensor:
    """Undo `to_uint8`, without loss for images that are multiples of 1/255.

    Args:
        image: Any shape, uint8 in [0, 255].

    Returns:
        The same shape, float32 in [0, 1].
    """
    return image.to(torch.float32) / 255


class Degradation(ABC):
    """Makes the low-quality input from the original, with draws from a given generator only.

    A subclass takes its options as keywords beside `scale` and implements `degrade`.

    Args:
        scale: Up-sampling factor to be learnt, >= 1: the output is this much smaller.

    Raises:
        ValueError: If `scale` is not positive.
    """

    def __init__(self, *, scale: int) -> None:
        if scale < 1:
            raise ValueError(f'scale: {scale} is not positive; write 4 for four-fold SR.')
        self.scale = scale

    @torch.no_grad()
    def __call__(self, original: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade a batch.

        Args:
            original: Candidate 0, :math:`(N, 3, sH, sW)` with :math:`s` = `scale`, RGB float32
                in [0, 1], on any device.
            generator: CPU generator; the only source of randomness.

        Returns:
            Low-quality input, :math:`(N, 3, H, W)`, RGB float32, multiples of 1/255 in [0, 1],
            on the device of `original`.

        Raises:
            ValueError: If a side of `original` is not a multiple of `scale`.
        """
        height, width = original.shape[-2:]
        if height % self.scale or width % self.scale:
            raise ValueError(
                f'original: {height} x {width} px is not divisible by scale {self.scale}; '
                'crop it to a multiple.'
            )
        size = (height // self.scale, width // self.scale)
        return from_uint8(to_uint8(self.degrade(original, size, generator))).contiguous()

    @abstractmethod
    def degrade(
        self, original: Tensor, size: tuple[int, int], generator: torch.Generator
    ) -> Tensor:
        """Degrade a batch, before clamping and rounding.

        Args:
            original: As in `__call__`; not to be modified.
            size: Height and width of the result.
            generator: CPU generator.

        Returns:
            :math:`(N, 3, H, W)`, RGB float32; may leave [0, 1].
        """
