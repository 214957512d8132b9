"""The ensemble that people's preferences suggest, as a piece of an option file."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import yaml

from iqasr.analysis.agreement import Comparisons
from iqasr.analysis.combination import (
    CROSS_VALIDATION_FOLDS,
    OF_KNOWN,
    REGRESSION,
    WITH_GRADIENT,
    Combination,
    ensemble_members,
    fit_logistic,
    shares_of,
)
from iqasr.analysis.panel import PanelScorer

HALF_RANGE = 2.0
"""An ensemble maps the median minus and plus this many spreads to 0 and 1."""

HEAD = """\
# Logistic regression on {pairs} pairs of {sources} sources. Copy what you need into an option file.
"""
PURPOSES = {
    OF_KNOWN: '`quality` lets the ensemble choose ground truths (AMO)',
    WITH_GRADIENT: '`train` optimises the ensemble directly',
}
NOT_VALIDATED = (
    f'not cross-validated, which takes {CROSS_VALIDATION_FOLDS} sources or more: nothing is known '
    'of it on others'
)


def option_fragment(
    comparisons: Comparisons, scorers: Sequence[PanelScorer], found: Sequence[Combination] = ()
) -> str:
    """Write the ensemble fitted by `fit_logistic` as YAML.

    Args:
        comparisons: Decided pairs.
        scorers: The scorers of `comparisons`.
        found: As from `evaluate_combinations`.

    Returns:
        ``datasets.train.quality.scorer``, from all scorers that can be built, and, if any of them
        has a gradient, ``train.quality_opt``, from these. A comment says how good each is.
    """
    content: dict[str, Any] = {}
    text = HEAD.format(pairs=len(comparisons.p_b), sources=len(np.unique(comparisons.sources)))
    for name, members in ensemble_members(scorers).items():
        if not members:
            continue
        some = comparisons.select_scorers([scorer.name for scorer in members])
        ensemble = ensemble_section(some, members)
        if name == OF_KNOWN:
            content['datasets'] = {'train': {'quality': {'scorer': ensemble}}}
        else:
            term = {'type': 'QualityLoss', 'gradient_ratio': 0.5, 'scorer': ensemble}
            content['train'] = {'quality_opt': term}
        text += f'# {PURPOSES[name]}:\n# {claim_of(name, found)}.\n'
    if unknown := [scorer.name for scorer in scorers if scorer.section is None]:
        text += f'# Left out, as no option file can build them for this: {", ".join(unknown)}.\n'
    if not content:
        return text
    return text + yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)


def claim_of(name: str, found: Sequence[Combination]) -> str:
    """Say how good an ensemble of `ensemble_members` is on sources to which it was not fitted."""
    if not found:
        return NOT_VALIDATED
    by_name = {combination.name: combination for combination in found}
    combination = by_name.get(name, by_name[REGRESSION])
    return f'held out, accuracy {combination.accuracy}, {combination.verdict}'


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
    return [round_to_5_digits(sign * end) for end in (median - reach, median + reach)]


def round_to_5_digits(number: float) -> float:
    """Round to five significant digits."""
    return float(f'{number:.5g}')
