"""Bradley-Terry strengths of methods from votes between pairs of them, with intervals.

Source:
    Bradley and Terry (1952), Rank analysis of incomplete block designs. Fitted by `choix`
    (Maystre and Grossglauser (2015), Fast and accurate inference of Plackett-Luce models).
    Intervals: Cameron, Gelbach and Miller (2011), Robust inference with multiway clustering, with
    bootstrap variances in place of their sandwich estimate.
"""

from dataclasses import dataclass

import choix
import numpy as np
from scipy.stats import t as student

from iqasr.analysis.bootstrap import resample_counts

FITS = 200
"""Number of resamples, each of which needs a fit."""

PSEUDO_VOTE = 0.5


@dataclass(frozen=True)
class Votes:
    """Votes between methods, as indices: arrays of shape ``(V,)``, one entry per vote.

    Args:
        winner: Method that was preferred.
        loser: The other method.
        rater: The rater.
        source: The image.
    """

    winner: np.ndarray
    loser: np.ndarray
    rater: np.ndarray
    source: np.ndarray

    def wins(self, count: int, weights: np.ndarray | None = None) -> np.ndarray:
        """Count how often each method (row) was preferred to each other one (column)."""
        cell = self.winner * count + self.loser
        return np.bincount(cell, weights, count * count).reshape(count, count)


def fit_strengths(
    wins: np.ndarray, start: np.ndarray | None = None, tolerance: float = 1e-8
) -> np.ndarray:
    r"""Fit strengths :math:`s` such that i is preferred to j with probability
    :math:`1 / (1 + \exp(s_j - s_i))`.

    Half a vote each way is added to every pair of methods, so that a method that always wins, or
    was never compared, has a finite strength.

    Args:
        wins: How often each method (row) was preferred to each other one (column), ``(M, M)``.
        start: Strengths to start from.
        tolerance: Change below which the fit ends.

    Returns:
        Strengths, ``(M,)``, mean 0.

    Example:
        >>> fit_strengths(np.array([[0, 29.5], [9.5, 0]])).round(4)  # log(30 / 10) = 1.0986
        array([ 0.5493, -0.5493])
    """
    padded = wins + PSEUDO_VOTE * (1 - np.eye(len(wins)))
    strengths = choix.ilsr_pairwise_dense(padded, 0.0, start, max_iter=1000, tol=tolerance)
    return strengths - strengths.mean()


def strengths_with_errors(votes: Votes, count: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Fit strengths, and estimate how much they would vary with other raters and images.

    Votes of one rater resemble each other, and so do votes on one image. The variance is that of
    resampled raters plus that of resampled images minus that of resampled votes, which both
    contain, but at least the largest of the three. (Resampling raters and images at once would
    count the chance in a single vote three times.)

    Args:
        votes: The votes.
        count: Number of methods, M.

    Returns:
        Strengths and their standard errors, ``(M,)`` each, and the quantile of Student's t that
        makes the errors 95 % intervals. Its degrees of freedom are the smaller of the numbers of
        raters and images, minus 1. With a single rater the interval holds for this rater alone;
        likewise with a single image.
    """
    strengths = fit_strengths(votes.wins(count))
    units = {'rater': votes.rater, 'source': votes.source, 'vote': np.arange(len(votes.winner))}
    variance = {
        name: np.var(resample_strengths(votes, strengths, unit, name), axis=0, ddof=1)
        for name, unit in units.items()
    }
    combined = variance['rater'] + variance['source'] - variance['vote']
    numbers = [len(np.unique(unit)) for unit in units.values()]
    freedom = min((number for number in numbers if number > 1), default=2) - 1
    errors = np.sqrt(np.max([combined, *variance.values()], axis=0))
    return strengths, errors, float(student.ppf(0.975, freedom))


def resample_strengths(votes: Votes, start: np.ndarray, unit: np.ndarray, name: str) -> np.ndarray:
    """Fit strengths, ``(FITS, M)``, to votes whose units, ``(V,)``, are drawn with replacement."""
    members, indices = np.unique(unit, return_inverse=True)
    counts = resample_counts(len(members), FITS, 'strengths', name)[1:, indices]
    return np.stack([fit_strengths(votes.wins(len(start), w), start, 1e-4) for w in counts])
