"""Rank and linear correlation, with intervals over sources.

Source:
    Spearman's coefficient is Pearson's of mid-ranks; Kendall's is tau-b, which allows for ties
    (Kendall 1945, The treatment of ties in ranking problems, Biometrika). A resample weights each
    value by how often its source was drawn, so that no value is copied. Written here.
"""

import numpy as np
from scipy.stats import kendalltau

from iqasr.analysis.agreement import Comparisons
from iqasr.analysis.bootstrap import Estimate, SourceBootstrap, ratio
from iqasr.runtime.randomness import seed_of

KENDALL_SOURCES = 500
"""Most sources for the interval of Kendall's coefficient: a resample compares all with all."""


def correlate(
    quality: np.ndarray,
    opinions: np.ndarray,
    bootstrap: SourceBootstrap,
    linearised: np.ndarray | None = None,
) -> dict[str, Estimate]:
    """Correlate quality with the opinions of people.

    Args:
        quality: Quality by a scorer, (n,).
        opinions: What people say of the same images or pairs, (n,).
        bootstrap: Resamples of the sources of these.
        linearised: Quality for ``plcc``, (n,); default `quality`.

    Returns:
        ``srocc``, ``krocc`` and ``plcc``.
    """
    for_plcc = quality if linearised is None else linearised
    return {
        'srocc': bootstrap.estimate(spearman(quality, opinions, bootstrap)),
        'krocc': bootstrap.estimate(kendall(quality, opinions, bootstrap)),
        'plcc': bootstrap.estimate(pearson(for_plcc, opinions, bootstrap)),
    }


def correlate_pairs(comparisons: Comparisons, resamples: int) -> dict[str, list[Estimate]]:
    """Correlate differences of quality with the share of people who prefer b.

    It is arbitrary which image is called a, so every pair counts in both orders.

    Args:
        comparisons: All pairs, ties included.
        resamples: As in `SourceBootstrap`.

    Returns:
        Each coefficient of `correlate`, one estimate per scorer. Empty where the shares of people
        take no values but 0, 0.5 and 1, so that there is nothing to correlate with.
    """
    if np.isin(comparisons.p_b, (0, 0.5, 1)).all():
        return {}
    margin, difference = comparisons.p_b - 0.5, comparisons.difference
    opinions = np.concatenate([margin, -margin])
    quality = np.concatenate([difference, -difference])
    bootstrap = SourceBootstrap(np.tile(comparisons.sources, 2), resamples)
    found = [correlate(column, opinions, bootstrap) for column in quality.T]
    return {kind: [of_one[kind] for of_one in found] for kind in found[0]}


def pearson(x: np.ndarray, y: np.ndarray, bootstrap: SourceBootstrap) -> np.ndarray:
    """Pearson's coefficient on the data, row 0, and on every resample, (R + 1,)."""
    x, y = (values - values.mean() for values in (x, y))
    count, *moments = bootstrap.sums(np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], 1)).T
    mean_x, mean_y, xx, yy, xy = (moment / count for moment in moments)
    spread = np.sqrt(np.maximum(xx - mean_x**2, 0) * np.maximum(yy - mean_y**2, 0))
    return ratio(xy - mean_x * mean_y, spread)


def spearman(x: np.ndarray, y: np.ndarray, bootstrap: SourceBootstrap) -> np.ndarray:
    """Spearman's coefficient on the data, row 0, and on every resample, (R + 1,)."""
    found = []
    for rows in bootstrap.chunks(len(x)):
        weight = bootstrap.counts[rows][:, bootstrap.source]
        total = weight.sum(1, keepdims=True)
        u, v = (mid_ranks(values, weight) - total / 2 for values in (x, y))
        spread = np.sqrt((weight * u * u).sum(1) * (weight * v * v).sum(1))
        found.append(ratio((weight * u * v).sum(1), spread))
    return np.concatenate(found)


def mid_ranks(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Rank values that occur several times each.

    Args:
        values: (n,).
        weight: How often each occurs, (R, n).

    Returns:
        The number of smaller occurrences plus half the number of equal ones, (R, n).
    """
    order = np.argsort(values, kind='stable')
    ordered = values[order]
    below = np.pad(np.cumsum(weight[:, order], 1), ((0, 0), (1, 0)))
    first = np.searchsorted(ordered, values, side='left')
    last = np.searchsorted(ordered, values, side='right')
    return (below[:, first] + below[:, last]) / 2


def kendall(x: np.ndarray, y: np.ndarray, bootstrap: SourceBootstrap) -> np.ndarray:
    """Kendall's tau-b on the data, row 0, and on every resample, (R + 1,).

    With more than `KENDALL_SOURCES` sources, the deviations of the resamples are those among so
    many of them, chosen at random, reduced as the standard error is with all of them.
    """
    every = kendalltau(x, y).statistic
    sources = bootstrap.counts.shape[1]
    shuffled = np.random.default_rng(seed_of('kendall')).permutation(sources)
    chosen = np.sort(shuffled[:KENDALL_SOURCES])
    kept = np.flatnonzero(np.isin(bootstrap.source, chosen))
    kept = kept[np.argsort(bootstrap.source[kept], kind='stable')]
    x, y = x[kept], y[kept]
    starts = np.searchsorted(bootstrap.source[kept], chosen)
    # By source and other source: concordance, and the pairs that are no ties in x and in y.
    sums = np.zeros((3, len(chosen), len(chosen)))
    for i, (low, high) in enumerate(zip(starts, [*starts[1:], len(kept)], strict=True)):
        sign_x = np.sign(x[low:high, None] - x)
        sign_y = np.sign(y[low:high, None] - y)
        for table, signs in zip(sums, (sign_x * sign_y, abs(sign_x), abs(sign_y)), strict=True):
            table[i] = np.add.reduceat(signs.sum(0), starts)
    counts = bootstrap.counts[:, chosen].astype(np.float64)
    concordance, pairs_x, pairs_y = (((counts @ table) * counts).sum(1) for table in sums)
    found = ratio(concordance, np.sqrt(pairs_x * pairs_y))
    return every + (found - found[0]) * np.sqrt(len(chosen) / sources)
