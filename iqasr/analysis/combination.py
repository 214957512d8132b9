"""Combinations of scorers, evaluated on sources to which they were not fitted.

Source:
    Zhang et al. (2025), Augmenting perceptual super-resolution via image quality predictors, CVPR,
    suggest ensembles as future work. Greedy selection: Caruana et al. (2004), Ensemble selection
    from libraries of models, ICML. Logistic regression of differences is the model of Bradley and
    Terry (1952) with scores as covariates. Written here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from scipy.optimize import minimize
from scipy.stats import rankdata

from iqasr.analysis.agreement import Comparisons, accuracy
from iqasr.analysis.bootstrap import Estimate, SourceBootstrap
from iqasr.analysis.panel import PanelScorer
from iqasr.runtime.randomness import seed_of

Fit: TypeAlias = Callable[[Comparisons], np.ndarray]
"""From decided, scaled pairs to the weights of scorers, (M,), non-negative, summing to 1."""

CROSS_VALIDATION_FOLDS = 5
"""With fewer sources there is no cross-validation."""

RIDGE = 1e-3
"""Penalty on squared weights, per pair: keeps them finite where scorers predict all preferences."""

LEAST_SHARE = 0.01
"""A scorer with a smaller share of the weight is left out of an ensemble."""

BEST_SINGLE, REGRESSION = 'best scorer', 'logistic regression'
OF_KNOWN, WITH_GRADIENT = 'regression, in ensemble.yml', 'regression, with gradient'


@dataclass(frozen=True)
class Combination:
    """Accuracy of several scorers together, on sources that took no part in fitting."""

    name: str
    weights: dict[str, float]
    """Share of each z-scored scorer, fitted to all pairs; scorers left out are absent."""
    accuracy: Estimate
    gain: Estimate
    """Accuracy minus that of the best single scorer, which is chosen in the same way."""
    best: str
    """The best single scorer on all pairs."""

    @property
    def verdict(self) -> str:
        """What the intervals allow to say; nothing of the best scorer that is better than chance.

        Example:
            >>> Combination('mean', {}, Estimate(0.7, 0.6, 0.8), Estimate(0, 0, 0.1), 'a').verdict
            'not better than a on these votes'
        """
        said = []
        if not self.accuracy.low > 0.5:
            said = ['worse than chance' if self.accuracy.high < 0.5 else 'no better than chance']
        if self.name != BEST_SINGLE:
            if self.gain.low > 0 and not said:
                said = [f'better than {self.best}']
            else:
                said += [f'{"worse" if self.gain.high < 0 else "not better"} than {self.best}']
        return f'{" and ".join(said)} on these votes' if said else ''


def best_single(comparisons: Comparisons) -> np.ndarray:
    """Give the scorer with the highest accuracy all the weight."""
    best = np.argmax(mean_correct(comparisons, comparisons.difference))
    return np.eye(len(comparisons.names))[best]


def equal_weights(comparisons: Comparisons) -> np.ndarray:
    """Give all scorers the same weight."""
    return np.full(len(comparisons.names), 1 / len(comparisons.names))


def select_greedily(comparisons: Comparisons) -> np.ndarray:
    """Add the scorer that raises the accuracy of their mean most, as long as one raises it."""
    z = comparisons.difference
    chosen, reached = np.zeros(z.shape[1], dtype=bool), -1.0
    while not chosen.all():
        candidates = np.flatnonzero(~chosen)
        found = mean_correct(comparisons, z[:, chosen].sum(1, keepdims=True) + z[:, candidates])
        if found.max() <= reached:
            break
        chosen[candidates[found.argmax()]], reached = True, found.max()
    return chosen / chosen.sum()


def fit_logistic(comparisons: Comparisons) -> np.ndarray:
    """Fit the share of people who prefer b by a logistic function of weighted differences.

    There is no intercept, since a and b are interchangeable, and no negative weight, since more
    quality is never worse and `EnsembleScorer` takes none.
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


def rank_quality(comparisons: Comparisons) -> Comparisons:
    """Replace quality by its rank among all images, for each scorer; NaN stays NaN."""
    flat = comparisons.quality.reshape(-1, len(comparisons.names))
    ranks = rankdata(flat, axis=0, nan_policy='omit').reshape(comparisons.quality.shape)
    return replace(comparisons, quality=ranks)


def evaluate_combinations(
    comparisons: Comparisons, bootstrap: SourceBootstrap, scorers: Sequence[PanelScorer] = ()
) -> list[Combination]:
    """Evaluate the best scorer and combinations on sources to which they were not fitted.

    Args:
        comparisons: Decided pairs.
        bootstrap: Resamples of the sources of these pairs.
        scorers: The scorers of `comparisons`. If some of them, but not all, are in an ensemble of
            `option_fragment`, there is also a regression of these alone.

    Returns:
        The combinations; none if there are fewer sources than folds.
    """
    if len(np.unique(comparisons.sources)) < CROSS_VALIDATION_FOLDS:
        return []
    scaled = comparisons.scaled()
    methods: dict[str, tuple[Comparisons, Fit]] = {
        BEST_SINGLE: (scaled, best_single),
        'mean of z-scores': (scaled, equal_weights),
        'mean of ranks': (rank_quality(comparisons), equal_weights),
        REGRESSION: (scaled, fit_logistic),
        'greedy selection': (scaled, select_greedily),
    }
    for name, members in ensemble_members(scorers).items():
        if 0 < len(members) < len(scorers):
            some = scaled.select_scorers([scorer.name for scorer in members])
            methods[name] = (some, fit_logistic)
    held_out = np.stack([cross_fit(data, fit) for data, fit in methods.values()], 1)
    resampled = accuracy(comparisons, held_out, bootstrap)
    best = comparisons.names[int(best_single(scaled).argmax())]
    return [
        Combination(
            name,
            shares_of(data.names, fit(data)),
            bootstrap.estimate(resampled[:, i]),
            bootstrap.estimate(resampled[:, i] - resampled[:, 0]),
            best,
        )
        for i, (name, (data, fit)) in enumerate(methods.items())
    ]


def cross_fit(comparisons: Comparisons, fit: Fit) -> np.ndarray:
    """Combine the differences of each fold by weights fitted to the other folds, (n,)."""
    names, source = np.unique(comparisons.sources, return_inverse=True)
    folds = np.arange(len(names)) % CROSS_VALIDATION_FOLDS
    fold = np.random.default_rng(seed_of('folds')).permutation(folds)[source]
    z, combined = comparisons.difference, np.zeros(len(fold))
    for number in np.unique(fold):
        rest = comparisons.select(fold != number)
        combined[fold == number] = z[fold == number] @ fit(rest)
    return combined


def shares_of(names: tuple[str, ...], weights: np.ndarray) -> dict[str, float]:
    """Leave out negligible weights, scale the others to sum 1, and return them by name."""
    kept = np.where(weights >= LEAST_SHARE * weights.sum(), weights, 0.0)
    return {
        name: float(weight)
        for name, weight in zip(names, kept / kept.sum(), strict=True)
        if weight > 0
    }


def ensemble_members(scorers: Sequence[PanelScorer]) -> dict[str, list[PanelScorer]]:
    """Choose the scorers of each ensemble: those that can be built, and those with a gradient."""
    known = [scorer for scorer in scorers if scorer.section is not None]
    return {OF_KNOWN: known, WITH_GRADIENT: [s for s in known if s.differentiable]}
