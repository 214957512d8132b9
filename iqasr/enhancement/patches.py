"""Patches worth training on, cut from a photograph and its candidates at the same places.

Source:
    Chen et al. (2023), Human guided ground-truth generation for realistic image super-resolution,
    https://github.com/ChrisDud0257/HGGT, PatchSelection/patch_select.py. Deviations: patches are
    ordered by the mean absolute difference to the original, where that file has the absolute value
    of the mean difference, in which brighter and darker pixels cancel; random numbers are a
    function of the photograph's name, so that they do not depend on the order of work; and no two
    patches are cut from the same place, which there can happen at a border.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from iqasr.runtime.crops import Place, cut_square

START_PX = ((2400, 128), (1200, 64), (0, 32))
"""Least length of a side, and the largest offset of the first patch along it."""


@dataclass(frozen=True)
class PatchRules:
    """Rules for the choice of patches; the defaults are those published.

    Args:
        size_px: Side of a patch, >= 1.
        stride_px: Distance between patches before jitter, >= 1; below `size_px` they overlap.
        jitter_px: Largest random shift in each direction, >= 0.
        least_contrast: Least standard deviation of the grey levels, in [0, 255], of the original or
            of a candidate.
        least_detail: Least variance of their Laplacian, in 8 bits (negative values are 0), of the
            same version.
        most: Most patches of a photograph, >= 1, those whose candidates differ most from the
            original first; None keeps all.

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
    """Choose the patches of a photograph that are worth training on.

    Args:
        versions: The original, then its candidates, each ``(H, W, 3)`` uint8 RGB.
        rules: Rules for the choice.
        generator: CPU generator.

    Returns:
        Their places, those where a candidate differs most from the original first.
    """
    differences: dict[Place, float] = {}
    for place in draw_places(versions[0].shape[:2], rules, generator):
        patches = [cut_square(version, place, rules.size_px) for version in versions]
        if any(is_detailed(patch, rules) for patch in patches):
            original, *others = patches
            differences[place] = max((difference(original, o) for o in others), default=0.0)
    return sorted(differences, key=differences.__getitem__, reverse=True)[: rules.most]


def draw_places(size: Sequence[int], rules: PatchRules, generator: torch.Generator) -> list[Place]:
    """Draw places of patches inside a photograph of `size` (height, width): a grid with jitter."""

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


def is_detailed(patch: np.ndarray, rules: PatchRules) -> bool:
    """Whether a patch, ``(H, W, 3)`` uint8 RGB, has enough contrast and detail."""
    contrast, detail = contrast_and_detail(patch)
    return contrast >= rules.least_contrast and detail >= rules.least_detail


def contrast_and_detail(image: np.ndarray) -> tuple[float, float]:
    """Standard deviation and variance of the 8-bit Laplacian of the grey levels."""
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    return float(grey.std()), float(cv2.Laplacian(grey, cv2.CV_8U).var())


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """Mean absolute difference of two images, in grey levels."""
    return float(cv2.absdiff(first, second).mean())
