"""Do intervals hold the truth as often as they promise?  200 sets of pairs with planted answers."""

from collections import defaultdict

import numpy as np
import pytest
from analysis.planted import PLANTED

from iqasr.analysis.agreement import Comparisons, accuracy, complementarity
from iqasr.analysis.bootstrap import Estimate, SourceBootstrap
from iqasr.analysis.combination import evaluate_combinations
from iqasr.analysis.correlation import correlate_pairs

SIMULATIONS, SOURCES, PAIRS, RESAMPLES = 200, 50, 4, 300

LEAST = 0.905
"""Of 200 true 95 % intervals, fewer hold the truth in one case of 500."""


def contains(estimate: Estimate, truth: float) -> bool:
    return estimate.low <= truth <= estimate.high


def hits(comparisons: Comparisons) -> dict[str, list[bool]]:
    """Tell which intervals hold the truth, by kind of estimate."""
    truth, found = PLANTED.truth(), defaultdict(list)
    bootstrap = SourceBootstrap(comparisons.sources, RESAMPLES)
    lists = {
        'accuracy': bootstrap.estimates(accuracy(comparisons, comparisons.difference, bootstrap))
    }
    for kind, estimates in (lists | correlate_pairs(comparisons, RESAMPLES)).items():
        found[kind] = [contains(*pair) for pair in zip(estimates, truth[kind], strict=True)]
    for kind, table in complementarity(comparisons, bootstrap).items():
        places = [(i, j) for i in range(len(table)) for j in range(len(table)) if i != j]
        found[kind] = [contains(table[i][j], truth[kind][i, j]) for i, j in places]
    for combination in evaluate_combinations(comparisons, bootstrap):
        if combination.name in PLANTED.combined():
            target = PLANTED.combined()[combination.name]
            found[combination.name] = [contains(combination.accuracy, target)]
    return found


@pytest.fixture(scope='module')
def coverage() -> dict[str, float]:
    """Share of intervals that hold the truth, by kind of estimate."""
    every = defaultdict(list)
    for number in range(SIMULATIONS):
        drawn = PLANTED.draw(SOURCES, PAIRS, np.random.default_rng(number))
        for kind, inside in hits(drawn).items():
            every[kind] += inside
    return {kind: float(np.mean(inside)) for kind, inside in every.items()}


def test_planted_answers_are_those_of_many_pairs():
    drawn = PLANTED.draw(40_000, 2, np.random.default_rng(0))
    error = 1 - drawn.correct(drawn.difference)
    np.testing.assert_allclose(error.T @ error / len(error), PLANTED.both_wrong, atol=0.006)


@pytest.mark.parametrize('kind', [*PLANTED.truth(), *PLANTED.combined()])
def test_intervals_hold_the_truth_as_often_as_they_promise(coverage, kind):
    assert LEAST <= coverage[kind] <= 0.99
