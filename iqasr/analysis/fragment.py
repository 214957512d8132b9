"""A fitted ensemble as sections of an option file."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import yaml

from iqasr.analysis.agreement import Comparisons
from iqasr.analysis.combination import logistic, shares_of
from iqasr.analysis.panel import Judge

HALF_RANGE = 2.0
"""An ensemble maps the median less and plus so many times the spread to 0 and 1."""

HEAD = """\
# Logistic regression on {pairs} pairs of {sources} sources. Copy what you need into an option file:
# `quality` lets the ensemble choose ground truths (AMO), `train` optimises it directly.
"""


def option_fragment(comparisons: Comparisons, judges: Sequence[Judge]) -> str:
    """Write the ensemble that `logistic` fits, as YAML.

    Args:
        comparisons: Decided pairs.
        judges: The scorers of `comparisons`.

    Returns:
        ``quality.scorer``, of all scorers, and ``train.quality_opt``, of those with a gradient, if
        there are any.
    """
    content: dict[str, Any] = {'quality': {'scorer': ensemble_section(comparisons, judges)}}
    smooth = [judge for judge in judges if judge.differentiable]
    if smooth:
        some = comparisons.only([judge.name for judge in smooth])
        scorer = ensemble_section(some, smooth)
        term = {'type': 'QualityLoss', 'gradient_ratio': 0.5, 'scorer': scorer}
        content['train'] = {'quality_opt': term}
    head = HEAD.format(pairs=len(comparisons.p_b), sources=len(np.unique(comparisons.sources)))
    return head + yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)


def ensemble_section(comparisons: Comparisons, judges: Sequence[Judge]) -> dict[str, Any]:
    """Fit an ensemble of some scorers and describe it as `EnsembleScorer` takes it.

    All ranges span the same number of spreads, so that the weights are those of z-scores.
    """
    shares = shares_of(comparisons.names, logistic(comparisons.scaled()))
    return {
        'type': 'EnsembleScorer',
        'fusion': 'weighted',
        'weights': [rounded(share) for share in shares.values()],
        'scorers': [
            {**judge.section, 'range': range_of(comparisons, judge)}
            for judge in judges
            if judge.name in shares
        ],
    }


def range_of(comparisons: Comparisons, judge: Judge) -> list[float]:
    """Worst and best score of a scorer, as published, for images like those compared."""
    column = comparisons.names.index(judge.name)
    middle = np.nanmedian(comparisons.quality[..., column])
    reach = HALF_RANGE * comparisons.spread[column]
    sign = -1 if judge.lower_better else 1
    return [rounded(sign * (middle - reach)), rounded(sign * (middle + reach))]


def rounded(number: float) -> float:
    """Keep five significant digits."""
    return float(f'{number:.5g}')
