"""How far a network has moved from where it started."""

import numpy as np

from iqasr.metrics.metric import without_border
from iqasr.registry import METRIC_REGISTRY


@METRIC_REGISTRY.register()
def calculate_base_distance(img: np.ndarray, base: np.ndarray, crop_border: int = 0) -> float:
    """Mean absolute difference to what the network made of the input before the run, of 255.

    Args:
        img: Output, ``(H, W, 3)`` uint8 BGR in [0, 255].
        base: The same before the run.
        crop_border: Pixels left out at each side.
    """
    difference = np.abs(img.astype(np.float64) - base)
    return float(without_border(difference, crop_border).mean())
