"""The fitted ensemble, as sections of an option file."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import yaml

from iqasr.analysis.agreement import Comparisons
from iqasr.analysis.combination import fit_logistic, shares_of
from iqasr.analysis.panel import PanelScorer

HALF_RANGE = 2.0
"""An ensemble maps the median minus and plus this many spreads to 0 and 1."""

HEAD = """\
# Logistic regression on {pairs} pairs of {sources} sources. Copy what you need into an option file:
# `quality` lets the ensemble choose ground truths (AMO), `train` optimises it directly.
"""


def option_fragment(comparisons: Comparisons, scorers: Sequence[PanelScorer]) -> str:
    """Write the ensemble fitted by `fit_logistic` as YAML.

    Args:
        comparisons: Decided pairs.
        scorers: The scorers of `comparisons`.

    Returns:
        ``datasets.train.quality.scorer``, from all scorers, and, if any of them has a gradient,
        ``train.quality_opt``, from these.
    """
    quality = {'scorer': ensemble_section(comparisons, scorers)}
    content: dict[str, Any] = {'datasets': {'train': {'quality': quality}}}
    smooth = [scorer for scorer in scorers if scorer.differentiable]
    if smooth:
        some = comparisons.select_scorers([scorer.name for scorer in smooth])
        scorer = ensemble_section(some, smooth)
        term = {'type': 'QualityLoss', 'gradient_ratio': 0.5, 'scorer': scorer}
        content['train'] = {'quality_opt': term}
    head = HEAD.format(pairs=len(comparisons.p_b), sources=len(np.unique(comparisons.sources)))
    return head + yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)


def ensemble_section(comparisons: Comparisons, scorers: Sequence[PanelScorer]) -> dict[str, Any]:
    """Fit an ensemble of scorers and write the section that builds it as `EnsembleScorer`.

    All ranges span the same number of spreads, so that the weights are those of z-scores.
    """
    shares = shares_of(comparisons.names, fit_logistic(comparisons.scaled()))
    return {
        'type': 'EnsembleScorer',
        'fusion': 'weighted',
        'weights': [round_to_5_digits(share) for share in shares.values()],
        'scorers': [
            {**scorer.section, 'range': score_range(comparisons, scorer)}
            for scorer in scorers
            if scorer.name in shares
        ],
    }


def score_range(comparisons: Comparisons, scorer: PanelScorer) -> list[float]:
    """Worst and best published score of a scorer, for images like those compared."""
    column = comparisons.names.index(scorer.name)
    median = np.nanmedian(comparisons.quality[..., column])
    reach = HALF_RANGE * comparisons.spread[column]
    sign = -1 if scorer.lower_better else 1
    return [round_to_5_digits(sign * (median - reach)), round_to_5_digits(sign * (median + reach))]


def round_to_5_digits(number: float) -> float:
    """Round to five significant digits."""
    return float(f'{number:.5g}')
