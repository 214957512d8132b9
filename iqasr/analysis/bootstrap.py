"""Intervals by resampling source images: how an estimate would vary with other photographs.

Source:
    Efron and Tibshirani (1993), An introduction to the bootstrap, chapters 8 and 13: whole clusters
    are drawn with replacement, quantiles bound the interval. Hesterberg (2015), What teachers
    should know about the bootstrap, The American Statistician: with few clusters such intervals are
    too narrow; the quantiles are those further out that make up for it. Written here.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, stdtrit

from iqasr.runtime.randomness import seed_of

RESAMPLES = 2000
CHUNK_VALUES = 20_000_000
"""Numbers of an intermediate result that are held at a time."""


class Estimate(NamedTuple):
    """A figure and its 95 % interval; NaN where there is nothing to estimate it from."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if np.isnan(self.value):
            return '-'
        return f'{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]'


class SourceBootstrap:
    """Resamples of the sources of some pairs; shared by all estimates, so that these are paired.

    Args:
        sources: Source of each pair; two different ones at least.
        resamples: How many resamples are drawn.
    """

    def __init__(self, sources: Sequence[str], resamples: int = RESAMPLES) -> None:
        names, self.source = np.unique(np.asarray(sources), return_inverse=True)
        count = len(names)
        draw = np.random.default_rng(seed_of('bootstrap', count))
        self.counts = np.ones((resamples + 1, count), dtype=np.uint8)
        """How often each source is in the data, row 0, and in the resamples: (R + 1, sources)."""
        for row in self.counts[1:]:
            row[:] = draw.multinomial(count, np.full(count, 1 / count))
        reach = np.sqrt(count / (count - 1)) * stdtrit(count - 1, 0.975)
        self.ends = ndtr([-reach, reach])
        """Quantiles of the resamples that bound an interval."""

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum values over the pairs of the data and of each resample.

        Args:
            values: One row per pair, of any shape.

        Returns:
            (R + 1, ...); row 0 is the sum over the data as they are.
        """
        flat = np.asarray(values, dtype=np.float64).reshape(len(self.source), -1)
        by_source = np.stack(
            [np.bincount(self.source, column, self.counts.shape[1]) for column in flat.T], 1
        )
        total = [self.counts[rows] @ by_source for rows in self.chunks(self.counts.shape[1])]
        return np.concatenate(total).reshape(-1, *np.shape(values)[1:])

    def estimate(self, statistic: np.ndarray) -> Estimate:
        """Turn a statistic of the data (row 0) and of every resample into an estimate."""
        value, resampled = float(statistic[0]), statistic[1:]
        resampled = resampled[np.isfinite(resampled)]
        if not np.isfinite(value) or not len(resampled):
            return Estimate(np.nan, np.nan, np.nan)
        return Estimate(value, *np.quantile(resampled, self.ends).tolist())

    def chunks(self, width: int) -> Iterator[slice]:
        """Cut the rows of `counts` so that results of `width` numbers each fit into memory."""
        step = max(1, CHUNK_VALUES // width)
        return (slice(i, i + step) for i in range(0, len(self.counts), step))


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide; NaN where the denominator is not positive."""
    shape = np.broadcast(numerator, denominator).shape
    return np.divide(numerator, denominator, out=np.full(shape, np.nan), where=denominator > 0)
