"""Cutting a square out of an image, and mirroring it."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Crop:
    """A square of an image, perhaps mirrored left to right, then upside down, then transposed."""

    top: int
    left: int
    size: int
    hflip: bool = False
    vflip: bool = False
    transpose: bool = False

    def cut(self, image: np.ndarray) -> Tensor:
        """Cut the crop out of ``(H, W, 3)``, which is reflected where the crop leaves it.

        No pixel is read but those that the crop shows.

        Returns:
            A copy, :math:`(3, size, size)`; of uint16, float32 in [0, 1].
        """
        rows, above, below = _span(self.top, self.size, image.shape[0])
        columns, left, right = _span(self.left, self.size, image.shape[1])
        planes = image[rows, columns].transpose(2, 0, 1)
        if above or below or left or right:
            edges = (above, below, left, right, cv2.BORDER_REFLECT_101)
            wider = [cv2.copyMakeBorder(np.ascontiguousarray(p), *edges) for p in planes]
            top, left = max(0, self.top) - rows.start, max(0, self.left) - columns.start
            planes = np.stack(wider)[:, top : top + self.size, left : left + self.size]
        if planes.dtype == np.uint16:
            planes = planes.astype(np.float32) / 65535
        return turned(torch.from_numpy(np.ascontiguousarray(planes)), *self.turns)

    def region(self, top: int, left: int, margin: int) -> tuple['Crop', tuple[int, int]]:
        """Widen the crop by a margin, of which `top` and `left` lie before it.

        Returns:
            The wider crop, and the top and left at which this one lies inside it, turned.
        """
        size = self.size + margin
        wider = replace(self, top=self.top - top, left=self.left - left, size=size)
        top = margin - top if self.vflip else top
        left = margin - left if self.hflip else left
        return wider, (left, top) if self.transpose else (top, left)

    @property
    def turns(self) -> tuple[bool, bool, bool]:
        """Whether it is mirrored left to right, upside down, and transposed."""
        return self.hflip, self.vflip, self.transpose


def turned(crop: Tensor, hflip: bool, vflip: bool, transpose: bool) -> Tensor:
    """Mirror a crop, :math:`(3, size, size)`, left to right, upside down, then transpose it."""
    mirrored = [axis for axis, drawn in ((-2, vflip), (-1, hflip)) if drawn]
    crop = crop.flip(mirrored) if mirrored else crop
    return crop.transpose(-2, -1).contiguous() if transpose else crop


def reflected(start: int, size: int, length: int) -> np.ndarray:
    """List positions from `start` on, reflected at the ends of [0, length), the ends once.

    Example:
        >>> reflected(-2, 8, 4).tolist()
        [2, 1, 0, 1, 2, 3, 2, 1]
    """
    last = length - 1
    return abs((np.arange(start, start + size) + last) % max(1, 2 * last) - last)


def _span(start: int, size: int, length: int) -> tuple[slice, int, int]:
    """Find the part of [0, length) that is shown, and how far the span exceeds it at each end."""
    if start >= 0 and start + size <= length:
        return slice(start, start + size), 0, 0
    shown = reflected(start, size, length)
    part = slice(int(shown.min()), int(shown.max()) + 1)
    return part, max(0, -start), max(0, start + size - length)
