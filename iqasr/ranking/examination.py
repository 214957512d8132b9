"""What is a scorer worth?  Order, over-sharpening and attack, on photographs it has not seen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from iqasr.data.files.photographs import detailed_places, read_photographs
from iqasr.degradation import from_uint8
from iqasr.quality import NIQEScorer, QualityScorer, RankerScorer
from iqasr.quality.ranker import RankerNetwork
from iqasr.ranking.attack import attack, niqe_to_attack
from iqasr.ranking.ladders import Damage, climb_down, resampled, sharpened
from iqasr.ranking.sources import kinds_with
from iqasr.runtime.randomness import generator_at

SEVERITIES = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
SHARPENING = [1.0, 2.0, 3.0, 4.0]
"""Amounts, all of them too much for a photograph that is sharp."""

FOURFOLD = 0.75
"""Severity at which `resampled` reduces by 4."""


@dataclass(frozen=True)
class Examination:
    """How a scorer did. Gains are in standard deviations of its quality over all ladders."""

    scorer: str
    order: dict[str, float]
    """By kind of damage: Spearman correlation of quality with severity, its sign turned, of each
    ladder; the mean over the ladders."""

    least: dict[str, float]
    """The same, of the worst ladder."""

    rewarded: float
    """Share of over-sharpened images that score above their photograph."""

    genuine: float
    """Gain from a fourfold bicubic enlargement to the photograph; median."""

    attacked: float
    """Gain of the enlargement under `attack`; median."""

    attacked_photograph: float
    """Gain of the photograph under `attack`; median."""

    def row(self) -> dict[str, str]:
        """One line of the table, by column."""
        order = {kind: f'{v:.3f} ({self.least[kind]:.2f})' for kind, v in self.order.items()}
        return {
            'scorer': self.scorer,
            **order,
            'over-sharpened above': f'{self.rewarded:.0%}',
            'genuine gain': f'{self.genuine:.2f}',
            'attack gain': f'{self.attacked:.2f}',
            'on photographs': f'{self.attacked_photograph:.2f}',
        }


def crops_of(photographs: Sequence[np.ndarray], size_px: int, per_photograph: int) -> list[Tensor]:
    """Cut the most detailed pieces out of photographs, each :math:`(1, 3, S, S)` in [0, 1]."""
    crops = []
    for image in photographs:
        for top, left in detailed_places(image, size_px, per_photograph):
            piece = image[top : top + size_px, left : left + size_px]
            if piece.shape[:2] == (size_px, size_px):
                pixels = np.ascontiguousarray(piece.transpose(2, 0, 1))[None]
                crops.append(from_uint8(torch.from_numpy(pixels)))
    return crops


@torch.no_grad()
def examine(
    scorer: QualityScorer,
    crops: Sequence[Tensor],
    kinds: Mapping[str, Damage],
    surrogate: Callable[[Tensor], Tensor] | None = None,
) -> Examination:
    """Examine a scorer.

    Args:
        scorer: Any scorer without reference.
        crops: Sharp photographs, :math:`(1, 3, S, S)`, S at least what the scorer needs.
        kinds: Kinds of damage by name.
        surrogate: What the attack climbs, from images to quality; None for the scorer itself.
    """
    if surrogate is None and not scorer.differentiable:
        raise ValueError(f'{scorer.name} has no gradient to attack along; give a surrogate.')
    order, least, every = {}, {}, []
    for kind, damage in kinds.items():
        quality = np.stack(
            [
                scorer(climb_down(crop, damage, SEVERITIES, generator_at(kind, i))[0]).numpy()
                for i, crop in enumerate(crops)
            ]
        )
        rho = [spearmanr(q, np.negative(SEVERITIES)).statistic for q in quality]
        order[kind], least[kind] = float(np.nanmean(rho)), float(np.nanmin(rho))
        every.append(quality)
    spread = float(np.nanstd(every))
    climb = surrogate or scorer
    over, genuine, gains, photograph_gains = [], [], [], []
    for crop in crops:
        enlarged = resampled(crop, FOURFOLD, generator_at('examination'))
        sharp = [sharpened(crop, 1.2, amount) for amount in SHARPENING]
        images = [crop, enlarged, attack(climb, crop), attack(climb, enlarged), *sharp]
        own, low, own_attacked, low_attacked, *sharp = scorer(torch.cat(images)).tolist()
        over += [quality > own for quality in sharp]
        genuine.append(own - low)
        gains.append(low_attacked - low)
        photograph_gains.append(own_attacked - own)
    medians = (float(np.nanmedian(gain)) / spread for gain in (genuine, gains, photograph_gains))
    return Examination(scorer.name, order, least, float(np.mean(over)), *medians)


def examine_ranker(
    folder: str,
    weights: str | None = None,
    *,
    reduce: float = 2.0,
    network: str | None = None,
    size_px: int = 192,
) -> list[Examination]:
    """Examine a ranker beside one with random weights and NIQE, on photographs it has not seen.

    Args:
        folder: Photographs.
        weights: Of the ranker; None for the packaged one.
        reduce: Photographs are made smaller by this factor first, until they are sharp.
        network: As in `kinds_with`.
        size_px: Side of the most detailed part of each photograph, which is what is examined.

    Raises:
        DataError: If there are no photographs, or one is broken.
    """
    crops = crops_of([image for _, image in read_photographs(folder, reduce)], size_px, 1)
    untrained = RankerScorer(weights)
    torch.manual_seed(0)
    untrained.network, untrained.name = RankerNetwork(untrained.network.channels), 'random weights'
    kinds = kinds_with(network)
    scorers: list[tuple[QualityScorer, Any]] = [
        (RankerScorer(weights), None),
        (untrained, None),
        (NIQEScorer(), niqe_to_attack()),
    ]
    return [examine(scorer, crops, kinds, climb) for scorer, climb in scorers]


def examination_table(examinations: Sequence[Examination]) -> str:
    """Put examinations into a Markdown table."""
    rows = [examination.row() for examination in examinations]
    lines = [list(rows[0]), ['---'] * len(rows[0]), *(list(row.values()) for row in rows)]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)
