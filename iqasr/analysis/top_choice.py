"""Whether a scorer's best image of a source is the one that people like best."""

from collections.abc import Sequence

import numpy as np

from iqasr.analysis.bootstrap import UNKNOWN, Estimate, SourceBootstrap
from iqasr.analysis.opinions import OpinionSet
from iqasr.analysis.panel import PanelScorer


def estimate_top_1(
    opinions: OpinionSet, scorers: Sequence[PanelScorer], resamples: int
) -> tuple[list[Estimate], float]:
    """Estimate in how many sources a scorer's best image is people's.

    Several images that people like best alike are all right. Where several images have the best
    score, or one has none, the scorer draws among these, or among all.

    Args:
        opinions: What people say.
        scorers: Scorers with their quality of the images.
        resamples: As in `SourceBootstrap`.

    Returns:
        The agreement of each scorer, and chance level: 1 / n for n images, of which one is best.
    """
    groups = {k: group for k, group in opinions.by_source().items() if len(group) > 1}
    right, chance = np.zeros((len(groups), len(scorers))), np.zeros(len(groups))
    for i, group in enumerate(groups.values()):
        value = np.array([opinion.value for opinion in group])
        best = value == value.max()
        chance[i] = best.mean()
        for j, scorer in enumerate(scorers):
            quality = np.array([scorer.quality[opinion.path] for opinion in group])
            right[i, j] = (
                best[quality == quality.max()].mean() if all(quality == quality) else chance[i]
            )
    if len(groups) < 2:
        return [UNKNOWN] * len(scorers), float('nan')
    bootstrap = SourceBootstrap(list(groups), resamples)
    return bootstrap.estimates(bootstrap.sums(right) / len(groups)), float(chance.mean())
