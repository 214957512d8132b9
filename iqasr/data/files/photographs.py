"""Folders of photographs, and the most detailed places in them."""

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from iqasr.data.files.image_files import decode_rgb, image_names
from iqasr.runtime.errors import DataError


def read_photographs(folder: str, reduce: float = 1.0) -> Iterator[tuple[str, np.ndarray]]:
    """Read the photographs of a folder, one after the other.

    Args:
        folder: Holds image files; anything else in it is passed over.
        reduce: Make them smaller by this factor, averaging: a photograph as the camera stored it
            is softer than its pixels could be, and holds the camera's noise and compression.

    Yields:
        Name without suffix, and ``(H, W, 3)`` uint8 RGB.

    Raises:
        DataError: If there is no such folder, no image in it, or one cannot be decoded.
    """
    if not os.path.isdir(folder):
        raise DataError(f'{folder}: there is no such folder of photographs.')
    names = list(image_names(folder))
    if not names:
        raise DataError(f'{folder}: holds no photographs.')
    for name in names:
        path = Path(folder, name)
        yield path.stem, reduced(decode_rgb(path.read_bytes(), str(path)), reduce)


def reduced(image: np.ndarray, factor: float) -> np.ndarray:
    """Make an image smaller by a factor >= 1, averaging over the pixels."""
    if factor == 1:
        return image
    size = [max(1, round(side / factor)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def detailed_places(image: np.ndarray, size: int, count: int) -> list[tuple[int, int]]:
    """Find the corners (top, left) of the squares with the most detail that do not overlap.

    Detail is the variance of the Laplacian of the grey levels, as in the patch selection of HGGT.
    An image, ``(H, W, 3)`` uint8 RGB, smaller than `size` has one, at (0, 0).
    """
    height, width = image.shape[:2]
    laplacian = laplacian_of(image)
    places = [
        (y, x)
        for y in range(0, max(height - size, 0) + 1, size)
        for x in range(0, max(width - size, 0) + 1, size)
    ]
    detail = {(y, x): laplacian[y : y + size, x : x + size].var() for y, x in places}
    return sorted(places, key=detail.__getitem__, reverse=True)[:count]


def detail_of(image: np.ndarray) -> float:
    """Measure the detail of an image, ``(H, W, 3)`` uint8 RGB, as `detailed_places` does."""
    return float(laplacian_of(image).var())


def laplacian_of(image: np.ndarray) -> np.ndarray:
    """Laplacian of the grey levels of an RGB image, ``(H, W)`` float64."""
    return cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_64F)
