"""The whole analysis: from pairs and scorers to estimates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from iqasr.analysis.agreement import Comparisons, Reliability, accuracy, reliability
from iqasr.analysis.bootstrap import RESAMPLES, Estimate, SourceBootstrap
from iqasr.analysis.combination import Combination, combinations
from iqasr.analysis.complementarity import Table, complementarity
from iqasr.analysis.correlation import correlations
from iqasr.analysis.fragment import option_fragment
from iqasr.analysis.pairs import Pair
from iqasr.analysis.panel import Judge


@dataclass(frozen=True)
class Analysis:
    """What is known of a panel of scorers."""

    comparisons: Comparisons
    """The pairs that people decided."""
    ties: int
    """Pairs that they did not, or not clearly enough; these count only for correlations."""
    undecided: list[float]
    """Share of the pairs that each scorer cannot tell apart."""
    accuracy: list[Estimate]
    correlations: Mapping[str, list[Estimate]] | None
    complementarity: Mapping[str, Table]
    combinations: list[Combination]
    reliability: Mapping[str, list[Reliability]]
    """By what makes a case clear."""
    fragment: str
    """The fitted ensemble, YAML."""


def analyse(
    pairs: Sequence[Pair],
    judges: Sequence[Judge],
    *,
    least_margin: float = 0.0,
    resamples: int = RESAMPLES,
) -> Analysis:
    """Estimate everything, with intervals over sources.

    Args:
        pairs: What people prefer.
        judges: What scorers say of the images.
        least_margin: As in `Comparisons.decided`.
        resamples: As in `SourceBootstrap`.

    Raises:
        DataError: If fewer than two sources have a pair that people decided.
    """
    every = Comparisons.of(pairs, {judge.name: judge.quality for judge in judges})
    decided = every.decided(least_margin)
    bootstrap = SourceBootstrap(decided.sources, resamples)
    difference, margin = decided.difference, np.abs(decided.p_b - 0.5)
    clear = {'difference of quality, z-scored': np.abs(decided.scaled().difference)}
    if np.ptp(margin) > 0:
        clear['margin among people, |p_b - 0.5|'] = margin
    smooth = [judge.name for judge in judges if judge.differentiable]
    return Analysis(
        comparisons=decided,
        ties=len(every.p_b) - len(decided.p_b),
        undecided=(difference == 0).mean(0).tolist(),
        accuracy=accuracy(decided, difference, bootstrap),
        correlations=correlations(every, resamples),
        complementarity=complementarity(decided, bootstrap),
        combinations=combinations(decided, bootstrap, smooth),
        reliability={what: reliability(decided, by, bootstrap) for what, by in clear.items()},
        fragment=option_fragment(decided, judges),
    )
