"""Bicubic reduction, the classical benchmark degradation."""

import torch
import torch.nn.functional as F
from torch import Tensor

from iqasr.degradation.base import Degradation
from iqasr.registry import DEGRADATION_REGISTRY


def mirror(length: int, margin: int, device: torch.device) -> Tensor:
    """Index a line of pixels and its mirror images on both sides.

    Example:
        >>> mirror(3, 2, torch.device('cpu'))
        tensor([1, 0, 0, 1, 2, 2, 1])
    """
    index = torch.arange(-margin, length + margin, device=device) % (2 * length)
    return torch.minimum(index, 2 * length - 1 - index)


@DEGRADATION_REGISTRY.register()
class BicubicDegradation(Degradation):
    """Reduces like MATLAB's ``imresize``: bicubic (a = -0.5), antialiased, mirrored borders.

    Before rounding it agrees with ``basicsr.utils.matlab_functions.imresize`` to 2e-6, borders
    included. It draws nothing.

    Args:
        scale: Up-sampling factor to be learnt, >= 1.
    """

    def degrade(
        self, original: Tensor, size: tuple[int, int], generator: torch.Generator
    ) -> Tensor:
        """Reduce a batch; see `Degradation.degrade`."""
        margin = 2 * self.scale  # half the width of the antialiased kernel
        rows, columns = (mirror(side, margin, original.device) for side in original.shape[-2:])
        framed = original[:, :, rows][:, :, :, columns]
        target = [side + 4 for side in size]
        return F.interpolate(framed, target, mode='bicubic', antialias=True)[:, :, 2:-2, 2:-2]
