"""Are several scorers better than one?  Combinations, judged on sources they were not fitted to.

Source:
    Zhang et al. (2025), Augmenting perceptual super-resolution via image quality predictors, CVPR,
    suggest ensembles as future work. Forward selection: Caruana et al. (2004), Ensemble selection
    from libraries of models, ICML. Logistic regression of differences is the model of Bradley and
    Terry (1952) with scores as covariates. Written here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.optimize import minimize
from scipy.stats import rankdata

from iqasr.analysis.agreement import Comparisons, resampled_accuracy
from iqasr.analysis.bootstrap import Estimate, SourceBootstrap
from iqasr.runtime.randomness import seed_of

Fit: TypeAlias = Callable[[Comparisons], np.ndarray]
"""From decided pairs, scaled, to the weights of scorers, (M,), none negative, summing to 1."""

FOLDS = 5
RIDGE = 1e-3
"""Penalty on squared weights, per pair: keeps weights finite where people can be followed fully."""

LEAST_SHARE = 0.01
"""A scorer with less of the weight takes no part in an ensemble."""


@dataclass(frozen=True)
class Combination:
    """How well several scorers do together, on sources that took no part in fitting."""

    name: str
    weights: dict[str, float]
    """Share of each z-scored scorer, fitted to all pairs; without those that take no part."""
    accuracy: Estimate
    gain: Estimate
    """Accuracy less that of the best single scorer, which is chosen in the same way."""


def best_single(comparisons: Comparisons) -> np.ndarray:
    """Give all weight to the scorer with the highest accuracy."""
    best = np.argmax(mean_correct(comparisons, comparisons.difference))
    return np.eye(len(comparisons.names))[best]


def equal_weights(comparisons: Comparisons) -> np.ndarray:
    """Weigh all scorers alike."""
    return np.full(len(comparisons.names), 1 / len(comparisons.names))


def greedy(comparisons: Comparisons) -> np.ndarray:
    """Add, one by one, the scorer that helps the mean of the chosen most, while one helps."""
    z = comparisons.difference
    chosen, reached = np.zeros(z.shape[1], dtype=bool), -1.0
    while not chosen.all():
        candidates = np.flatnonzero(~chosen)
        found = mean_correct(comparisons, z[:, chosen].sum(1, keepdims=True) + z[:, candidates])
        if found.max() <= reached:
            break
        chosen[candidates[found.argmax()]], reached = True, found.max()
    return chosen / chosen.sum()


def logistic(comparisons: Comparisons) -> np.ndarray:
    """Fit the share of people who prefer b by a logistic function of weighted differences.

    Without intercept, as a and b are interchangeable; without negative weights, as more quality is
    never worse, and `EnsembleScorer` takes none.
    """
    z, share, weight = comparisons.difference, comparisons.p_b, comparisons.weight
    weight = weight / weight.sum()

    def loss(beta: np.ndarray) -> tuple[float, np.ndarray]:
        logit = z @ beta
        value = weight @ (np.logaddexp(0, logit) - share * logit) + RIDGE * beta @ beta
        slope = z.T @ (weight * (1 / (1 + np.exp(-logit)) - share)) + 2 * RIDGE * beta
        return value, slope

    count = z.shape[1]
    start = np.full(count, 1 / count)
    beta = minimize(loss, start, jac=True, method='L-BFGS-B', bounds=[(0, None)] * count).x
    return beta / beta.sum() if beta.sum() > 0 else start


def mean_correct(comparisons: Comparisons, difference: np.ndarray) -> np.ndarray:
    """Accuracy of each column of differences, (M,)."""
    return comparisons.weight @ comparisons.correct(difference) / comparisons.weight.sum()


def ranked(comparisons: Comparisons) -> Comparisons:
    """Replace quality by its rank among all images, for each scorer; none stays none."""
    flat = comparisons.quality.reshape(-1, len(comparisons.names))
    ranks = rankdata(flat, axis=0, nan_policy='omit').reshape(comparisons.quality.shape)
    return comparisons.with_quality(ranks)


def combinations(
    comparisons: Comparisons, bootstrap: SourceBootstrap, differentiable: Sequence[str] = ()
) -> list[Combination]:
    """Judge the best scorer and combinations, each fitted to other sources than it judges.

    Args:
        comparisons: Decided pairs.
        bootstrap: Of the sources of these pairs.
        differentiable: Scorers with a gradient; if these are several, but not all, the regression
            is done with them alone, too.
    """
    scaled = comparisons.scaled()
    ways: dict[str, tuple[Comparisons, Fit]] = {
        'best scorer': (scaled, best_single),
        'mean of z-scores': (scaled, equal_weights),
        'mean of ranks': (ranked(comparisons), equal_weights),
        'logistic regression': (scaled, logistic),
        'greedy selection': (scaled, greedy),
    }
    if 1 < len(differentiable) < len(comparisons.names):
        ways['regression, with gradient'] = (scaled.only(differentiable), logistic)
    held_out = np.stack([cross_fitted(data, fit) for data, fit in ways.values()], 1)
    resampled = resampled_accuracy(comparisons, held_out, bootstrap)
    return [
        Combination(
            name,
            shares_of(data.names, fit(data)),
            bootstrap.estimate(resampled[:, i]),
            bootstrap.estimate(resampled[:, i] - resampled[:, 0]),
        )
        for i, (name, (data, fit)) in enumerate(ways.items())
    ]


def cross_fitted(comparisons: Comparisons, fit: Fit) -> np.ndarray:
    """Combine differences by weights fitted to other sources, (n,)."""
    names, source = np.unique(comparisons.sources, return_inverse=True)
    folds = np.arange(len(names)) % FOLDS
    fold = np.random.default_rng(seed_of('folds')).permutation(folds)[source]
    z, combined = comparisons.difference, np.zeros(len(fold))
    for number in np.unique(fold):
        rest = comparisons.select(fold != number)
        combined[fold == number] = z[fold == number] @ fit(rest)
    return combined


def shares_of(names: tuple[str, ...], weights: np.ndarray) -> dict[str, float]:
    """Name weights, leave out the negligible, and make the others sum to 1."""
    kept = np.where(weights >= LEAST_SHARE * weights.sum(), weights, 0.0)
    return {
        name: float(weight)
        for name, weight in zip(names, kept / kept.sum(), strict=True)
        if weight > 0
    }
