"""Square crops of images: where they lie, which are shown, and grids of them with labels."""

import itertools
import math
from collections.abc import Sequence
from typing import TypeAlias, TypeVar

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Item = TypeVar('Item')

Place: TypeAlias = tuple[int, int]
"""Top and left of a crop, in pixels."""

LABEL_HEIGHT = 22
FONT_SIZE = 15


def cut_square(image: np.ndarray, place: Place, side_px: int) -> np.ndarray:
    """Cut a square out of an image, ``(H, W, C)``; the crop ends where the image ends."""
    top, left = place
    return image[top : top + side_px, left : left + side_px]


def tiles_along(length: int, tile: int, most: int | None = None) -> list[slice]:
    """Cover a length by the fewest tiles, at even distances.

    Args:
        length: In pixels, as the tile.
        tile: Length of a tile; one tile covers what is shorter.
        most: Take no more tiles than this, which then lie apart; a single one lies in the middle.

    Example:
        >>> tiles_along(10, 4)
        [slice(0, 4, None), slice(3, 7, None), slice(6, 10, None)]
        >>> tiles_along(10, 4, most=1)
        [slice(3, 7, None)]
        >>> tiles_along(3, 4)
        [slice(0, 3, None)]
    """
    tile = min(tile, length)
    count = min(math.ceil(length / tile), most or length)
    ends = (0, length - tile) if count > 1 else ((length - tile) // 2,) * 2
    starts = np.linspace(*ends, count).round().astype(int)
    return [slice(int(start), int(start) + tile) for start in starts]


def tiles_within(size: Sequence[int], tile: int, most: int) -> list[tuple[slice, slice]]:
    """Cover an image by the fewest square tiles in a grid, or by a coarser grid of fewer tiles.

    Args:
        size: Height and width of the image, in pixels.
        tile: Side of a tile, in pixels.
        most: Most tiles.

    Returns:
        Rows and columns of each tile.

    Example:
        >>> len(tiles_within((448, 900), 224, 10)), len(tiles_within((448, 900), 224, 7))
        (10, 4)
    """
    height, width = size
    rows, columns = (math.ceil(side / tile) for side in size)
    while rows * columns > most:
        # Where they lie closer.
        if columns == 1 or (rows > 1 and rows * width > columns * height):
            rows -= 1
        else:
            columns -= 1
    grid = [tiles_along(side, tile, n) for side, n in zip(size, (rows, columns), strict=True)]
    return list(itertools.product(*grid))


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """Take at most so many, at even distances.

    Example:
        >>> spread('abcdefg', 3), spread('ab', 3)
        (['a', 'd', 'g'], ['a', 'b'])
    """
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[place] for place in places]


def crop_grid(
    rows: Sequence[Sequence[np.ndarray]], labels: Sequence[str], crop_px: int, zoom: int
) -> np.ndarray:
    """Arrange crops in a grid, enlarged without smoothing.

    Args:
        rows: Crops of each row, ``(H, W, 3)`` uint8 BGR, at most `crop_px` high and wide. Smaller
            ones are padded with white.
        labels: Text above each column.
        crop_px: Side of the squares, in pixels.
        zoom: Factor by which they are enlarged.

    Returns:
        ``(H, W, 3)`` uint8 BGR.
    """
    lines = [np.hstack([_pad(crop, crop_px) for crop in row]) for row in rows]
    grid = np.vstack(lines).repeat(zoom, axis=0).repeat(zoom, axis=1)
    return np.vstack([_label_line(labels, crop_px * zoom), grid])


def _pad(crop: np.ndarray, side_px: int) -> np.ndarray:
    bottom, right = side_px - crop.shape[0], side_px - crop.shape[1]
    white = (255, 255, 255)
    return cv2.copyMakeBorder(crop, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=white)


def _label_line(labels: Sequence[str], width: int) -> np.ndarray:
    line = Image.new('RGB', (width * len(labels), LABEL_HEIGHT), 'white')
    draw, font = ImageDraw.Draw(line), ImageFont.load_default(FONT_SIZE)
    for column, label in enumerate(labels):
        draw.text((column * width + 4, 2), label, fill='black', font=font)
    return np.asarray(line)
