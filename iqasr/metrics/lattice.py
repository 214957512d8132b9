"""A pattern with the period of the up-sampling factor."""

import numpy as np

from iqasr.metrics.metric import register_metric, without_border
from iqasr.runtime.luma import luma_of


@register_metric(lower_better=True)
def calculate_lattice(img: np.ndarray, period: int, crop_border: int = 0) -> float:
    """How much a lattice shows: steps or dots at every so many pixels, as networks can learn them.

    The mean absolute second difference of the luma, at the phase of the period where it is largest,
    over its median over the phases, less 1; the mean of both directions. Photographs have about
    0.02.

    Args:
        img: Output, ``(H, W, 3)`` uint8 BGR in [0, 255].
        period: Pixels from one step to the next: the up-sampling factor.
        crop_border: Pixels left out at each side.

    Returns:
        The excess, >= 0; NaN where nothing changes.

    Raises:
        ValueError: If `period` is below 1.
    """
    if period < 1:
        raise ValueError(f'period is {period}; use the up-sampling factor.')
    luma = luma_of(np.ascontiguousarray(without_border(img, crop_border)))
    excesses = []
    for lines in (luma, luma.T):
        changes = np.abs(np.diff(lines, 2, axis=1)).mean(0)
        phases = [changes[phase::period].mean() for phase in range(period)]
        median = np.median(phases)
        excesses.append(max(phases) / median - 1 if median else np.nan)
    return float(np.mean(excesses))
