"""Resizing a picture whose rows come band by band."""

from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from iqasr.data.files.pictures import Shape

STRIP_ROWS = 64
"""Rows that are resized at a time."""

LANCZOS_PX = 3
"""How far the filter reaches, in pixels of the smaller picture."""


def resize_bands(bands: Iterable[np.ndarray], shape: Shape, size: Shape) -> Iterator[np.ndarray]:
    """Resize a picture, with a filter that lets nothing alias.

    It is Lanczos; for alpha, which must not overshoot, a triangle. Each channel is resized apart in
    single precision, so that 16 bits stay 16 bits.

    Args:
        bands: Its rows, ``(h, W, C)`` from top to bottom, of any height.
        shape: What it is made of.
        size: What it becomes, of the same channels and type.

    Yields:
        The rows of the resized picture, at most `STRIP_ROWS` at a time, the same however the
        picture is divided into bands.
    """
    step = shape.height / size.height
    reach = LANCZOS_PX * max(1.0, step) + 1
    rows, first, done = np.empty((0, shape.width, shape.channels), shape.dtype), 0, 0
    for band in bands:
        rows = np.concatenate([rows, band]) if len(rows) else band
        there = first + len(rows)
        while done < size.height:
            end = min(size.height, done + STRIP_ROWS)
            if there < min(shape.height, end * step + reach):
                break
            used = rows[: int(end * step + reach) + 1 - first]
            bottom = min(len(used), end * step - first)  # which rounding may pass
            box = (0, done * step - first, shape.width, bottom)
            yield resize_rows(used, (size.width, end - done), box)
            done = end
            passed = max(0, int(done * step - reach) - first)
            rows, first = rows[passed:], first + passed


def resize_rows(
    rows: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float]
) -> np.ndarray:
    """Resize what lies in a box; the filter sees the rows around it, too.

    Args:
        rows: ``(h, W, C)`` uint8 or uint16; alpha last.
        size: Width and height of the result.
        box: Left, top, right and bottom of the part.
    """
    channels, most = rows.shape[-1], np.iinfo(rows.dtype).max
    resized = np.empty((size[1], size[0], channels), rows.dtype)
    for channel in range(channels):
        is_alpha = channels in (2, 4) and channel == channels - 1
        kind = Image.Resampling.BILINEAR if is_alpha else Image.Resampling.LANCZOS
        image = Image.fromarray(rows[..., channel].astype(np.float32))
        levels = np.asarray(image.resize(size, kind, box))
        resized[..., channel] = np.rint(levels.clip(0, most))
    return resized
