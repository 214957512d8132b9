"""A sheet that shows the most detailed square of some pictures, as each network restores it."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from iqasr.data.files.photographs import detailed_places
from iqasr.data.files.picture_writers import in_8_bits
from iqasr.data.files.pictures import read_picture
from iqasr.runtime.atomic_files import write_bytes_atomically
from iqasr.runtime.crops import crop_grid, cut_square, spread

INPUT_PX, SHOWN_PX, ROWS = 64, 256, 12


def write_comparison(path: Path, groups: Sequence[Sequence[Path]], labels: Sequence[str]) -> None:
    """Show up to `ROWS` pictures, one per row: the same square of the input and of each output.

    Args:
        path: PNG file to write.
        groups: Files of each picture: the input, and what became of it.
        labels: Labels of the columns.

    Raises:
        StorageError: If the sheet cannot be written.
    """
    rows = [squares(group) for group in spread(groups, ROWS)]
    sheet = crop_grid(rows, labels, SHOWN_PX, 1)
    write_bytes_atomically(cv2.imencode('.png', sheet)[1].tobytes(), path)


def squares(files: Sequence[Path]) -> list[np.ndarray]:
    """Cut the same square out of an input and its outputs, of whatever scale; BGR."""
    images = [read_bgr(file) for file in files]
    ((top, left),) = detailed_places(images[0][..., ::-1], INPUT_PX, 1)
    shown = []
    for image in images:
        scale = image.shape[0] / images[0].shape[0]
        side = max(1, round(INPUT_PX * scale))
        square = cut_square(image, (round(top * scale), round(left * scale)), side)
        factor = SHOWN_PX / side
        shown.append(cv2.resize(square, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC))
    return shown


def read_bgr(file: Path) -> np.ndarray:
    """Read a picture as ``(H, W, 3)`` uint8 BGR, on white where it is transparent."""
    picture = read_picture(file)
    pixels = in_8_bits(picture.pixels)
    pixels = np.repeat(pixels, 3 // pixels.shape[-1], axis=-1)[..., ::-1]
    if picture.alpha is not None:
        alpha = in_8_bits(picture.alpha) / 255
        pixels = np.rint(alpha * pixels + 255 * (1 - alpha)).astype(np.uint8)
    return np.ascontiguousarray(pixels)
