"""A pattern with the period of the up-sampling factor."""

import cv2
import numpy as np

from iqasr.metrics.metric import register_metric, without_border
from iqasr.runtime.luma import luma_of

LARGEST_DETAIL = 4.0
"""Grey levels to which fine detail is clipped, so that edges do not count more than flat areas."""


@register_metric(lower_better=True)
def calculate_checkerboard(img: np.ndarray, period: int, crop_border: int = 0) -> float:
    """How strong a checkerboard pattern is: the same dots or steps at every so many pixels.

    The standard deviation, in grey levels, of the mean fine detail of the luma over the places
    within a period. Photographs have about 0.04; 0.3 shows on flat areas, 1 everywhere.

    Args:
        img: Output, ``(H, W, 3)`` uint8 BGR in [0, 255].
        period: Pixels from one dot to the next: the up-sampling factor.
        crop_border: Pixels left out at each side.

    Raises:
        ValueError: If `period` is below 1, or more than the image has.
    """
    luma = luma_of(np.ascontiguousarray(without_border(img, crop_border)))
    height, width = (side // period * period if period > 0 else 0 for side in luma.shape)
    if not height or not width:
        raise ValueError(f'period is {period}; use the up-sampling factor, 1 or more.')
    smooth = cv2.GaussianBlur(luma, (0, 0), period / 2)
    detail = (luma - smooth).clip(-LARGEST_DETAIL, LARGEST_DETAIL)[:height, :width]
    cells = detail.reshape(height // period, period, width // period, period)
    return float(cells.mean((0, 2), dtype=np.float64).std())
