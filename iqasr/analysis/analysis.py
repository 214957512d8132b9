"""The analysis of a panel of scorers: from pairs and scores to estimates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from iqasr.analysis.agreement import Comparisons, ReliabilityCurve, accuracy, reliability_curves
from iqasr.analysis.bootstrap import RESAMPLES, Estimate, SourceBootstrap
from iqasr.analysis.combination import Combination, evaluate_combinations, option_fragment
from iqasr.analysis.complementarity import Table, complementarity
from iqasr.analysis.correlation import correlate_pairs
from iqasr.analysis.pairs import ImagePair
from iqasr.analysis.panel import PanelScorer


@dataclass(frozen=True)
class PanelAnalysis:
    """The agreement of a panel of scorers with people, and with each other."""

    comparisons: Comparisons
    """The pairs that people decided."""
    ties: int
    """Pairs that people did not decide, or not clearly enough; they count only in correlations."""
    undecided: list[float]
    """Share of the pairs that each scorer cannot tell apart."""
    agreement: Mapping[str, list[Estimate]]
    """``accuracy`` and, if there is something to correlate with, those of `correlate_pairs`."""
    complementarity: Mapping[str, Table]
    combinations: list[Combination]
    reliability: Mapping[str, list[ReliabilityCurve]]
    """By the measure of how clear a pair is."""
    fragment: str
    """The fitted ensemble, YAML."""


def analyse_panel(
    pairs: Sequence[ImagePair],
    scorers: Sequence[PanelScorer],
    *,
    least_margin: float = 0.0,
    resamples: int = RESAMPLES,
) -> PanelAnalysis:
    """Compute all estimates, with intervals over sources.

    Args:
        pairs: Preferences of people.
        scorers: Scorers with their quality of the images.
        least_margin: As in `Comparisons.decided`.
        resamples: As in `SourceBootstrap`.

    Raises:
        DataError: If fewer than two sources have a pair that people decided.
    """
    every = Comparisons.of(pairs, {scorer.name: scorer.quality for scorer in scorers})
    decided = every.decided(least_margin)
    bootstrap = SourceBootstrap(decided.sources, resamples)
    difference, margin = decided.difference, np.abs(decided.p_b - 0.5)
    clearness = {'difference of quality, z-scored': np.abs(decided.scaled().difference)}
    if np.ptp(margin) > 0:
        clearness['margin among people, |p_b - 0.5|'] = margin
    differentiable = [scorer.name for scorer in scorers if scorer.differentiable]
    return PanelAnalysis(
        comparisons=decided,
        ties=len(every.p_b) - len(decided.p_b),
        undecided=(difference == 0).mean(0).tolist(),
        agreement={
            'accuracy': bootstrap.estimates(accuracy(decided, difference, bootstrap)),
            **correlate_pairs(every, resamples),
        },
        complementarity=complementarity(decided, bootstrap),
        combinations=evaluate_combinations(decided, bootstrap, differentiable),
        reliability={
            label: reliability_curves(decided, values, bootstrap)
            for label, values in clearness.items()
        },
        fragment=option_fragment(decided, scorers),
    )
