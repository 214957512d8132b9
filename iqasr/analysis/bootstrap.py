"""Bootstrap: how far an estimate would vary with other images, raters or seeds.

Source:
    Efron and Tibshirani (1993), An introduction to the bootstrap, chapters 8 and 13: whole clusters
    are drawn with replacement, and quantiles bound the interval. Hesterberg (2015), What teachers
    should know about the bootstrap, The American Statistician: with few clusters such intervals are
    too narrow; quantiles further out make up for it. Written here.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, stdtrit

from iqasr.runtime.randomness import seed_of

RESAMPLES = 2000
CHUNK_VALUES = 20_000_000
"""Most numbers of an intermediate result that are held at a time."""


class Estimate(NamedTuple):
    """A value with its 95 % interval; NaN where there are no data."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.low > 0 or self.high < 0

    def as_difference(self) -> str:
        """Format with signs, in Markdown; bold where the interval excludes 0."""
        mark = '**' if self.excludes_zero else ''
        interval = '' if np.isnan(self.low) else f' [{self.low:+.3f}, {self.high:+.3f}]'
        return f'{mark}{self.value:+.3f}{mark}{interval}'

    def __str__(self) -> str:
        if np.isnan(self.value):
            return '-'
        return f'{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]'


UNKNOWN = Estimate(np.nan, np.nan, np.nan)


def resample_counts(units: int, resamples: int, *place: int | str) -> np.ndarray:
    """Draw units with replacement, as many as there are.

    Args:
        units: Number of units, U.
        resamples: Number of resamples, R.
        place: Place of the draws, see `iqasr.runtime.randomness`.

    Returns:
        How often each unit is drawn, ``(R + 1, U)`` uint8. Row 0 is the data: each unit once.
    """
    draw = np.random.default_rng(seed_of(*place))
    counts = np.ones((resamples + 1, units), dtype=np.uint8)
    for row in counts[1:]:
        row[:] = draw.multinomial(units, np.full(units, 1 / units))
    return counts


def estimate_from(statistic: np.ndarray, ends: Sequence[float] = (0.025, 0.975)) -> Estimate:
    """Turn a statistic of the data (row 0) and of every resample, ``(R + 1,)``, into an estimate.

    `ends` are the quantiles of the resamples that bound the interval.
    """
    value, resampled = float(statistic[0]), statistic[1:]
    resampled = resampled[np.isfinite(resampled)]
    if not np.isfinite(value) or not len(resampled):
        return UNKNOWN
    return Estimate(value, *np.quantile(resampled, ends).tolist())


class SourceBootstrap:
    """Resamples of the sources of some pairs. All estimates share them, and so are paired.

    Args:
        sources: Source of each pair; at least two different ones.
        resamples: Number of resamples.
    """

    def __init__(self, sources: Sequence[str], resamples: int = RESAMPLES) -> None:
        names, self.source = np.unique(np.asarray(sources), return_inverse=True)
        count = len(names)
        self.counts = resample_counts(count, resamples, 'bootstrap', count)
        """See `resample_counts`; the units are sources."""
        reach = np.sqrt(count / (count - 1)) * stdtrit(count - 1, 0.975)
        self.ends = ndtr([-reach, reach])
        """Quantiles of the resamples that bound an interval."""

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum values over the pairs of the data and of each resample.

        Args:
            values: One row per pair, of any shape.

        Returns:
            ``(R + 1, ...)``; row 0 is the sum over the data.
        """
        flat = np.asarray(values, dtype=np.float64).reshape(len(self.source), -1)
        by_source = np.stack(
            [np.bincount(self.source, column, self.counts.shape[1]) for column in flat.T], 1
        )
        total = [self.counts[rows] @ by_source for rows in self.chunks(self.counts.shape[1])]
        return np.concatenate(total).reshape(-1, *np.shape(values)[1:])

    def estimate(self, statistic: np.ndarray) -> Estimate:
        """Turn a statistic, ``(R + 1,)``, into an estimate."""
        return estimate_from(statistic, self.ends)

    def estimates(self, statistics: np.ndarray) -> list[Estimate]:
        """Turn M statistics, ``(R + 1, M)``, into estimates."""
        return [self.estimate(statistic) for statistic in statistics.T]

    def chunks(self, width: int) -> Iterator[slice]:
        """Split the rows of `counts` so that results of `width` numbers each fit into memory."""
        step = max(1, CHUNK_VALUES // width)
        return (slice(i, i + step) for i in range(0, len(self.counts), step))


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide; NaN where the denominator is not positive."""
    shape = np.broadcast(numerator, denominator).shape
    return np.divide(numerator, denominator, out=np.full(shape, np.nan), where=denominator > 0)
