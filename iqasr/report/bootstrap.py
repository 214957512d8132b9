"""Bootstrap intervals: how far a mean over a few images can be trusted."""

import numpy as np

from iqasr.runtime.randomness import seed_of

RESAMPLES = 2000


def interval(values: np.ndarray, *place: int | str) -> tuple[float, float, float]:
    """Mean with its 95 % bootstrap interval over seeds and images, both resampled.

    Differences of two runs, image by image, give the paired interval: what makes an image hard
    for both cancels.

    Args:
        values: Seeds x images; NaN where there is no value.
        place: Place of the draws, see `iqasr.runtime.randomness`.

    Returns:
        Mean, lower and upper end; NaN if there is no value at all.

    Source:
        Efron and Tibshirani (1993), An introduction to the bootstrap, section 13.3 (percentile
        interval).
    """
    if not np.isfinite(values).any():
        return float('nan'), float('nan'), float('nan')
    draw = np.random.default_rng(seed_of('interval', *place))
    seeds, images = values.shape
    rows = draw.integers(seeds, size=(RESAMPLES, seeds, 1))
    columns = draw.integers(images, size=(RESAMPLES, 1, images))
    resampled = values[rows, columns]
    known = np.isfinite(resampled).sum((1, 2))
    means = np.nansum(resampled, (1, 2))[known > 0] / known[known > 0]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(np.nanmean(values)), float(low), float(high)
