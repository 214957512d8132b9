"""Distance of a network from where it started."""

import numpy as np

from iqasr.metrics.metric import register_metric, without_border


@register_metric(lower_better=True, needs=('base',))
def calculate_base_distance(
    img: np.ndarray,
    img2: np.ndarray | None = None,
    base: np.ndarray | None = None,
    crop_border: int = 0,
) -> float:
    """Mean absolute difference to the output of the network before the run, in [0, 255].

    Args:
        img: Output, ``(H, W, 3)`` uint8 BGR in [0, 255].
        img2: Ignored.
        base: Output for the same input before the run, as `img`.
        crop_border: Pixels left out at each side.

    Raises:
        ValueError: If `base` is not given.
    """
    if base is None:
        raise ValueError(
            'calculate_base_distance needs `base`, the output of the network before the run, which '
            'RestorationModel gives it; remove it from val.metrics to validate another model.'
        )
    difference = np.abs(img.astype(np.float64) - base)
    return float(without_border(difference, crop_border).mean())
