"""Means over seeds and images, with intervals.

Source:
    Cameron, Gelbach and Miller (2011), Robust inference with multiway clustering, Journal of
    Business & Economic Statistics: the variance. Satterthwaite (1946), An approximate distribution
    of estimates of variance components, Biometrics Bulletin: its degrees of freedom. Written here.
"""

import numpy as np
from scipy.special import stdtrit

from iqasr.analysis.bootstrap import UNKNOWN, Estimate


def mean_estimate(values: np.ndarray) -> Estimate:
    """Estimate a mean with the interval that other seeds and other images would leave it in.

    Differences of two runs, image by image, give the paired interval: an image that is hard for
    both does not widen it. With one seed, it is Student's interval over images. Two seeds or images
    are few, and the interval is wide; of a single value there is none.

    Measured, with normal values of 14 to 54 images, it holds the truth in 0.92 to 0.99 of cases
    with three seeds or more; with two, in 0.95 where seeds vary little, but in as few as 0.88 where
    they vary as images do.

    Args:
        values: Seeds x images; NaN where there is no value.

    Returns:
        The mean and its 95 % interval, which is NaN if there is only one value.

    Example:
        >>> mean_estimate(np.array([[1.0, 2.0, 3.0]])).as_difference()  # 2 +- 4.303 / sqrt(3)
        '+2.000 [-0.484, +4.484]'
    """
    known = np.isfinite(values)
    count = known.sum()
    if count == 0:
        return UNKNOWN
    mean = float(values[known].mean())
    rest = np.where(known, values - mean, 0.0)
    # Values of one seed vary together, and so do those of one image. Both variances contain that of
    # single values.
    seeds, images = (rest.sum(axis)[known.any(axis)] for axis in (1, 0))
    groups = [sums for sums in (seeds, images) if len(sums) > 1]
    if not groups:
        return Estimate(mean, np.nan, np.nan)
    variances = [variance_of_sum(sums) / count**2 for sums in groups]
    single = variance_of_sum(rest[known]) / count**2
    variance = max(sum(variances) - (len(groups) - 1) * single, *variances, single)
    if variance == 0:
        return Estimate(mean, mean, mean)
    degrees = [len(sums) - 1 for sums in groups]
    freedom = variance**2 / sum(v**2 / d for v, d in zip(variances, degrees, strict=True))
    reach = float(stdtrit(max(freedom, min(degrees)), 0.975) * np.sqrt(variance))
    return Estimate(mean, mean - reach, mean + reach)


def variance_of_sum(terms: np.ndarray) -> float:
    """Estimate the variance of the sum of independent terms whose mean is 0."""
    return len(terms) / (len(terms) - 1) * float(np.square(terms).sum())
