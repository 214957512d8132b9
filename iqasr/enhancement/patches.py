"""Patches worth training on: cut from a photograph and its candidates at the same places.

Source:
    Chen et al. (2023), Human guided ground-truth generation for realistic image super-resolution,
    https://github.com/ChrisDud0257/HGGT, PatchSelection/patch_select.py. Deviations: patches are
    ordered by the mean absolute difference to the original, where that file takes the absolute
    value of the mean difference, in which brighter and darker pixels cancel; its random numbers are
    those of the photograph's name, so that they do not depend on the order of work; and two patches
    are never cut from the same place, as they may be there at a border.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

Place = tuple[int, int]
"""Top and left of a patch, in pixels."""

START_PX = ((2400, 128), (1200, 64), (0, 32))
"""From which length of a side on the first patch starts how far from its end, at most."""


@dataclass(frozen=True)
class PatchRules:
    """Which patches are cut; the defaults are those published.

    Args:
        size_px: Side of a patch.
        stride_px: Distance of patches, before they are moved at random; less than `size_px` makes
            them overlap.
        jitter_px: Farthest that a patch is moved in each direction.
        least_contrast: Standard deviation of the grey levels, in [0, 255], and
        least_detail: variance of their Laplacian (in 8 bits, the negative half cut off) that the
            original or one of its candidates must have.
        most: Patches of a photograph that are kept, at most, those whose candidates differ most
            from the original first; None for all.

    Raises:
        ValueError: If a number is out of range.
    """

    size_px: int = 512
    stride_px: int = 288
    jitter_px: int = 16
    least_contrast: float = 30.0
    least_detail: float = 30.0
    most: int | None = None

    def __post_init__(self) -> None:
        least = min(self.size_px, self.stride_px, 1 if self.most is None else self.most)
        if least < 1 or self.jitter_px < 0:
            raise ValueError(
                f'{self}: size, stride and number of patches must be at least 1, jitter at least 0.'
            )


def choose_patches(
    versions: Sequence[np.ndarray], rules: PatchRules, generator: torch.Generator
) -> list[Place]:
    """Find the patches of a photograph that are worth training on.

    Args:
        versions: The original, then its candidates, each ``(H, W, 3)`` uint8 RGB.
        rules: Which are.
        generator: CPU generator.

    Returns:
        Their places, those at which a candidate differs most from the original first.
    """
    original, *candidates = versions
    differences: dict[Place, float] = {}
    for place in lattice(original.shape[:2], rules, generator):
        if any(is_detailed(cut(version, place, rules.size_px), rules) for version in versions):
            patch = cut(original, place, rules.size_px)
            differences[place] = max(
                (difference(patch, cut(c, place, rules.size_px)) for c in candidates), default=0.0
            )
    return sorted(differences, key=differences.__getitem__, reverse=True)[: rules.most]


def lattice(size: Sequence[int], rules: PatchRules, generator: torch.Generator) -> list[Place]:
    """Draw the places of patches that lie inside a photograph of a size (height, width)."""

    def draw(least: int, most: int) -> int:
        return int(torch.randint(least, most + 1, (), generator=generator))

    starts = [draw(0, next(far for side, far in START_PX if length >= side)) for length in size]
    rows, columns = (
        range(start, length, rules.stride_px) for start, length in zip(starts, size, strict=True)
    )
    jitter = rules.jitter_px
    moved = [
        (max(row + draw(-jitter, jitter), 0), max(column + draw(-jitter, jitter), 0))
        for row in rows
        for column in columns
    ]
    inside = [
        place
        for place in moved
        if all(at + rules.size_px <= length for at, length in zip(place, size, strict=True))
    ]
    return list(dict.fromkeys(inside))


def cut(image: np.ndarray, place: Place, side: int) -> np.ndarray:
    """Cut the square of a side at a place."""
    top, left = place
    return image[top : top + side, left : left + side]


def is_detailed(patch: np.ndarray, rules: PatchRules) -> bool:
    """Tell whether a patch, ``(H, W, 3)`` uint8 RGB, has enough contrast and detail."""
    contrast, detail = contrast_and_detail(patch)
    return contrast >= rules.least_contrast and detail >= rules.least_detail


def contrast_and_detail(image: np.ndarray) -> tuple[float, float]:
    """Measure standard deviation, and variance of the 8-bit Laplacian, of the grey levels."""
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    return float(grey.std()), float(cv2.Laplacian(grey, cv2.CV_8U).var())


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """Mean absolute difference of two images, in grey levels."""
    return float(cv2.absdiff(first, second).mean())
