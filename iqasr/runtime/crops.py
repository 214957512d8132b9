"""Square crops of images, and grids of them with a label above each column."""

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Place: TypeAlias = tuple[int, int]
"""Top and left of a crop, in pixels."""

LABEL_HEIGHT = 22
FONT_SIZE = 15


def cut_square(image: np.ndarray, place: Place, side_px: int) -> np.ndarray:
    """Cut a square out of an image, ``(H, W, C)``; the crop ends where the image ends."""
    top, left = place
    return image[top : top + side_px, left : left + side_px]


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
