"""Examination of scorers on unseen photographs: order, over-sharpening and adversarial attack."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor
from tqdm import tqdm

from iqasr.checking.components import scorer_sections
from iqasr.data.files.photographs import detailed_places, read_photographs
from iqasr.degradation import from_uint8
from iqasr.quality import QualityScorer
from iqasr.ranking.attack import attack, differentiable_niqe
from iqasr.ranking.distortions import SEVERITIES, Distortion, make_ladder, resample, sharpen
from iqasr.ranking.sources import distortions_with
from iqasr.registry import SCORER_REGISTRY, build
from iqasr.runtime.crops import cut_square
from iqasr.runtime.errors import DataError
from iqasr.runtime.markdown import markdown_table
from iqasr.runtime.randomness import generator_at

SHARPENING = (1.0, 2.0, 3.0, 4.0)
"""Amounts of sharpening, all of them too much for a sharp photograph."""

FOURFOLD = 0.75
"""Severity at which `resample` reduces by 4."""


@dataclass(frozen=True)
class ScorerExamination:
    """Results of a scorer. Gains are in standard deviations of its quality over all ladders."""

    scorer: str
    order: dict[str, float]
    """By distortion: Spearman correlation of quality with falling severity, mean over ladders."""

    least: dict[str, float]
    """By distortion: the same of the worst ladder."""

    rewarded: float
    """Share of over-sharpened images that score above their photograph."""

    genuine: float
    """Gain from a fourfold bicubic enlargement to the photograph; median."""

    attacked: float
    """Gain of the enlargement under `attack`; median."""

    attacked_photograph: float
    """Gain of the photograph under `attack`; median."""

    coverage: float
    """Share of pixel values of the photograph that have a gradient; NaN without a gradient."""

    seconds: float
    """Time to score one of the photographs; median."""

    def row(self) -> dict[str, str]:
        """Row of the table, by column."""
        order = {kind: f'{v:.3f} ({self.least[kind]:.2f})' for kind, v in self.order.items()}
        return {
            'scorer': self.scorer,
            **order,
            'over-sharpened above': f'{self.rewarded:.0%}',
            'genuine gain': f'{self.genuine:.2f}',
            'attack gain': f'{self.attacked:.2f}',
            'on photographs': f'{self.attacked_photograph:.2f}',
            'gradient on': f'{self.coverage:.1%}',
            'ms': f'{1000 * self.seconds:.0f}',
        }


def detailed_crop(image: np.ndarray, size_px: int) -> Tensor | None:
    """Cut the most detailed square out of a photograph.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        size_px: Side of the square, S.

    Returns:
        :math:`(1, 3, S, S)` in [0, 1]; None if the photograph is smaller.
    """
    if min(image.shape[:2]) < size_px:
        return None
    (place,) = detailed_places(image, size_px, 1)
    pixels = np.ascontiguousarray(cut_square(image, place, size_px).transpose(2, 0, 1))
    return from_uint8(torch.from_numpy(pixels))[None]


@torch.no_grad()
def examine_scorer(
    scorer: QualityScorer,
    crops: Sequence[Tensor],
    distortions: Mapping[str, Distortion],
    surrogate: Callable[[Tensor], Tensor] | None = None,
) -> ScorerExamination:
    """Examine a scorer.

    Args:
        scorer: No-reference scorer.
        crops: Sharp photographs, :math:`(1, 3, S, S)` in [0, 1], S at least what the scorer needs.
        distortions: Distortions by name.
        surrogate: Function from images to quality whose gradient the attack follows; default the
            scorer itself.

    Raises:
        ValueError: If the scorer has no gradient and there is no surrogate.
    """
    if surrogate is None and not scorer.differentiable:
        raise ValueError(f'{scorer.name} has no gradient to attack along; give a surrogate.')
    order, least, every = {}, {}, []
    for kind, distortion in distortions.items():
        quality = np.stack(
            [
                scorer(make_ladder(crop, distortion, SEVERITIES, generator_at(kind, i))[0]).numpy()
                for i, crop in enumerate(crops)
            ]
        )
        rho = [spearmanr(q, np.negative(SEVERITIES)).statistic for q in quality]
        order[kind], least[kind] = float(np.nanmean(rho)), float(np.nanmin(rho))
        every.append(quality)
    spread = float(np.nanstd(every))
    target = surrogate or scorer
    rewarded, genuine, attacked, attacked_photograph = [], [], [], []
    for crop in crops:
        enlarged = resample(crop, FOURFOLD, generator_at('examination'))
        sharpened = [sharpen(crop, 1.2, amount) for amount in SHARPENING]
        images = [crop, enlarged, attack(target, crop), attack(target, enlarged), *sharpened]
        own, low, own_attacked, low_attacked, *too_sharp = scorer(torch.cat(images)).tolist()
        rewarded += [quality > own for quality in too_sharp]
        genuine.append(own - low)
        attacked.append(low_attacked - low)
        attacked_photograph.append(own_attacked - own)
    gains = (float(np.nanmedian(g)) / spread for g in (genuine, attacked, attacked_photograph))
    return ScorerExamination(
        scorer.name,
        order,
        least,
        float(np.mean(rewarded)),
        *gains,
        gradient_coverage(scorer, crops),
        float(np.median([time_scorer(scorer, crop) for crop in crops])),
    )


def gradient_coverage(scorer: QualityScorer, crops: Sequence[Tensor]) -> float:
    """Compute the share of pixel values whose change changes the quality."""
    if not scorer.differentiable:
        return float('nan')
    shares = []
    for crop in crops:
        image = crop.clone().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(scorer(image).sum(), image)
        shares.append((gradient != 0).double().mean().item())
    return float(np.mean(shares))


def time_scorer(scorer: QualityScorer, crop: Tensor) -> float:
    """Measure the seconds that scoring a crop takes."""
    begin = time.perf_counter()
    scorer(crop)
    return time.perf_counter() - begin


def examine_scorers(
    folder: str,
    words: Sequence[str],
    *,
    reduce: float = 2.0,
    network: str | None = None,
    size_px: int = 224,
) -> list[ScorerExamination]:
    """Examine scorers on photographs. NIQE is attacked along the gradient of a surrogate.

    Args:
        folder: Photographs.
        words: Scorers, as in `scorer_sections`.
        reduce: Factor by which photographs are reduced first, so that they are sharp.
        network: As in `distortions_with`.
        size_px: Side of the most detailed square of each photograph, which is examined.

    Raises:
        DataError: If there are no photographs, all are too small, or one is damaged.
        OptionError: If a scorer does not exist.
        ValueError: If a scorer needs a reference or larger squares.
    """
    scorers = [build(SCORER_REGISTRY, section) for section in scorer_sections(words).values()]
    for scorer in scorers:
        if scorer.needs_reference:
            raise ValueError(f'{scorer.name} needs a reference; name scorers without one.')
        if scorer.min_size > size_px:
            raise ValueError(
                f'{scorer.name} needs squares of {scorer.min_size} pixels; size_px is {size_px}.'
            )
    found = [detailed_crop(image, size_px) for _, image in read_photographs(folder, reduce)]
    crops = [crop for crop in found if crop is not None]
    if not crops:
        raise DataError(
            f'{folder}: no photograph has {size_px} x {size_px} pixels after being reduced by '
            f'{reduce:g}. Give larger ones, or a lower reduction.'
        )
    distortions = distortions_with(network)
    targets = [differentiable_niqe() if s.name == 'niqe' else None for s in scorers]
    return [
        examine_scorer(scorer, crops, distortions, target)
        for scorer, target in tqdm(list(zip(scorers, targets, strict=True)), 'scorers')
    ]


def examination_table(examinations: Sequence[ScorerExamination]) -> str:
    """Format examinations as a Markdown table."""
    rows = [examination.row() for examination in examinations]
    return markdown_table(list(rows[0]), [list(row.values()) for row in rows])
