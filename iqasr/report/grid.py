"""A grid of pictures: the same detail as every network restored it."""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from iqasr.data.files.photographs import detailed_places
from iqasr.report.pictures import versions_of
from iqasr.report.results import Results, common_sets

LABEL_HEIGHT = 22
FONT_SIZE = 15


def picture_grid(
    results: Sequence[Results], crop_px: int = 128, zoom: int = 2, per_image: int = 2
) -> np.ndarray:
    """Show the most detailed crops of every test image, one column per network.

    Args:
        results: Result folders with saved images (``val.save_img: true``).
        crop_px: Side of a crop, in pixels of the ground truth.
        zoom: Enlargement of the crops, without smoothing.
        per_image: Crops of each image.

    Returns:
        The grid, ``(H, W, 3)`` uint8 BGR, with a line of labels on top.

    Raises:
        OSError: If a picture is missing.
    """
    rows = []
    for dataset in common_sets(results):
        for name in results[0].sets[dataset]['files']:
            versions = versions_of(results, dataset, name)
            columns = [versions[v] for v in range(len(results) + 1) if v in versions]
            for y, x in detailed_places(columns[-1], crop_px, per_image):
                crops = [image[y : y + crop_px, x : x + crop_px] for image in columns]
                rows.append(np.hstack([enlarge(fill(c, crop_px), zoom) for c in crops]))
    labels = [r.name for r in results] + ['ground truth']
    return np.vstack([label_line(labels, crop_px * zoom), *rows])


def fill(image: np.ndarray, size: int) -> np.ndarray:
    """Pad a crop that is smaller than asked with white."""
    bottom, right = size - image.shape[0], size - image.shape[1]
    white = (255, 255, 255)
    return cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=white)


def enlarge(image: np.ndarray, zoom: int) -> np.ndarray:
    """Repeat every pixel."""
    return image.repeat(zoom, axis=0).repeat(zoom, axis=1)


def label_line(labels: Sequence[str], width: int) -> np.ndarray:
    """Write one label above each column."""
    line = Image.new('RGB', (width * len(labels), LABEL_HEIGHT), 'white')
    draw, font = ImageDraw.Draw(line), ImageFont.load_default(FONT_SIZE)
    for column, label in enumerate(labels):
        draw.text((column * width + 4, 2), label, fill='black', font=font)
    return np.asarray(line)
