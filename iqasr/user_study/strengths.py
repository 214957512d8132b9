"""Strengths of methods from votes between pairs of them, with intervals.

Source:
    Bradley and Terry (1952), Rank analysis of incomplete block designs. Fitted by `choix`
    (Maystre and Grossglauser (2015), Fast and accurate inference of Plackett-Luce models).
    Intervals: Cameron, Gelbach and Miller (2011), Robust inference with multiway clustering, with
    bootstrap variances in the place of their sandwich estimate.
"""

from dataclasses import dataclass

import choix
import numpy as np
from scipy.stats import t as student

from iqasr.runtime.randomness import seed_of

RESAMPLES = 200
PSEUDO_VOTE = 0.5


@dataclass(frozen=True)
class Votes:
    """Votes between methods, as indices; one entry per vote in each array of shape ``(V,)``.

    Args:
        winner: Method that was preferred.
        loser: The other one.
        rater: Who voted.
        source: The image it was about.
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

    Half a vote each way is added to every pair: a method that always wins would have no finite
    strength, and one that was never compared none at all.

    Args:
        wins: How often each method (row) was preferred to each other one (column), ``(M, M)``.
        start: Strengths to start from.
        tolerance: Change at which the fit ends.

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
    """Fit strengths, and estimate how far other raters and other images would move them.

    Votes of one rater resemble each other, and so do votes on one image. The variance is that of
    resampled raters plus that of resampled images, less that of resampled votes, which both
    contain; and not below any of the three. (Resampling raters and images at once would count
    the chance in a single vote three times.)

    Args:
        votes: The votes.
        count: Number of methods, M.

    Returns:
        Strengths and their standard errors, ``(M,)`` each, and the quantile of Student's t by which
        to multiply them for a 95 % interval: its degrees of freedom are the number of raters or
        images, the smaller one, less 1. A single rater says nothing about others; the interval
        is then for this rater, and likewise for a single image.
    """
    strengths = fit_strengths(votes.wins(count))
    units = {'rater': votes.rater, 'source': votes.source, 'vote': np.arange(len(votes.winner))}
    variance = {
        name: np.var(resampled(votes, count, unit, strengths, name), axis=0, ddof=1)
        for name, unit in units.items()
    }
    combined = variance['rater'] + variance['source'] - variance['vote']
    numbers = [len(np.unique(unit)) for unit in units.values()]
    freedom = min((number for number in numbers if number > 1), default=2) - 1
    errors = np.sqrt(np.max([combined, *variance.values()], axis=0))
    return strengths, errors, float(student.ppf(0.975, freedom))


def resampled(
    votes: Votes, count: int, unit: np.ndarray, start: np.ndarray, name: str
) -> np.ndarray:
    """Fit strengths to votes of units drawn with replacement.

    Returns:
        Strengths, ``(RESAMPLES, M)``.
    """
    draw = np.random.default_rng(seed_of('strengths', name))
    members, indices = np.unique(unit, return_inverse=True)
    size = len(members)
    weights = draw.multinomial(size, np.full(size, 1 / size), RESAMPLES)
    return np.stack([fit_strengths(votes.wins(count, w[indices]), start, 1e-4) for w in weights])
