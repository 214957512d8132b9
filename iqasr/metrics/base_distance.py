"""Distance of a network from where it started."""

import numpy as np

from iqasr.metrics.metric import register_metric, without_border


@register_metric(lower_better=True)
def calculate_base_distance(img: np.ndarray, base: np.ndarray, crop_border: int = 0) -> float:
    """Mean absolute difference to the output of the network before the run, in [0, 255].

    Args:
        img: Output, ``(H, W, 3)`` uint8 BGR in [0, 255].
        base: Output for the same input before the run, as `img`.
        crop_border: Pixels left out at each side.
    """
    difference = np.abs(img.astype(np.float64) - base)
    return float(without_border(difference, crop_border).mean())
