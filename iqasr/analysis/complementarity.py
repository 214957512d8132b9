"""Complementarity: which scorer is right where another is wrong.

A scorer that cannot tell two images apart counts as a fair coin, independent of the others: its
error is one half, and two such errors coincide in one case of four. All figures follow from the
expected number of errors of each scorer and of each two together.

Source:
    Zhang et al. (2025), Augmenting perceptual super-resolution via image quality predictors, CVPR:
    accuracy where MUSIQ is wrong. Overlap: Jaccard (1912), the phi coefficient of Yule (1912), the
    kappa of Cohen (1960), of errors. Written here.
"""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from iqasr.analysis.agreement import Comparisons
from iqasr.analysis.bootstrap import UNKNOWN, Estimate, SourceBootstrap, ratio

Table: TypeAlias = list[list[Estimate]]
"""By scorer and other scorer; NaN for a scorer with itself."""


def complementarity(comparisons: Comparisons, bootstrap: SourceBootstrap) -> Mapping[str, Table]:
    """Compare the errors of every two scorers.

    Args:
        comparisons: Decided pairs.
        bootstrap: Resamples of the sources of these pairs.

    Returns:
        ``accuracy_where_wrong``: accuracy of the other where this scorer is wrong; ``oracle``:
        accuracy if one always knew which of the two to believe; ``jaccard``: pairs that both get
        wrong, of those that at least one gets wrong; ``phi``: correlation of the errors;
        ``kappa``: agreement of the errors beyond chance.
    """
    weight = comparisons.weight[:, None]
    error = 1 - comparisons.correct(comparisons.difference)
    total = bootstrap.sums(weight)[:, :, None]
    errors = bootstrap.sums(weight * error) / total[..., 0]
    both = bootstrap.sums(weight[:, None] * error[:, :, None] * error[:, None]) / total
    own, other = errors[:, :, None], errors[:, None]
    agreement = 1 - own - other + 2 * both
    by_chance = own * other + (1 - own) * (1 - other)
    tables = {
        'accuracy_where_wrong': 1 - ratio(both, np.broadcast_to(own, both.shape)),
        'oracle': 1 - both,
        'jaccard': ratio(both, own + other - both),
        'phi': ratio(both - own * other, np.sqrt(own * (1 - own) * other * (1 - other))),
        'kappa': ratio(agreement - by_chance, 1 - by_chance),
    }
    return {name: estimates_of(table, bootstrap) for name, table in tables.items()}


def estimates_of(statistic: np.ndarray, bootstrap: SourceBootstrap) -> Table:
    """Turn a statistic of each two scorers, (R + 1, M, M), into a table."""
    count = statistic.shape[1]
    return [
        [UNKNOWN if i == j else bootstrap.estimate(statistic[:, i, j]) for j in range(count)]
        for i in range(count)
    ]
