"""Several scorers fused into one."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from iqasr.quality.base import QualityScorer
from iqasr.registry import SCORER_REGISTRY, build

Positive = Annotated[float, Field(gt=0)]


@SCORER_REGISTRY.register()
class EnsembleScorer(QualityScorer):
    r"""Fuses the quality of its members, each first mapped to [0, 1] by its score range.

    The soft minimum of ``worst`` is :math:`-T \log \frac{1}{M} \sum_m \exp(-q_m / T)`: between the
    least quality and the mean, and equal to both where the members agree.

    Args:
        scorers: Section of each member, see `build_bounded`.
        fusion: ``mean``; ``weighted`` by `weights`; ``worst``; or ``random``, one member per call,
            for training only: `QualityLoss` sets the `generator`.
        weights: Weight of each member for ``weighted``; only their proportions matter.
        temperature: :math:`T` of ``worst``, in normalised quality; > 0. Towards 0 the worst member
            alone counts, towards infinity all count equally.

    Raises:
        ValueError: If a member has no finite score range, or `weights` do not match.
    """

    score_range = (0.0, 1.0)

    def __init__(
        self,
        scorers: Annotated[list[dict[str, Any]], Field(min_length=1)],
        *,
        fusion: Literal['mean', 'weighted', 'worst', 'random'] = 'mean',
        weights: list[Positive] | None = None,
        temperature: Positive = 0.1,
    ) -> None:
        super().__init__()
        if (fusion == 'weighted') != (weights is not None):
            raise ValueError("weights: belong to fusion 'weighted', which needs them.")
        if weights is not None and len(weights) != len(scorers):
            raise ValueError(f'weights: {len(weights)} for {len(scorers)} scorers; give one each.')
        self.members = nn.ModuleList(build_bounded(section) for section in scorers)
        self.fusion, self.temperature = fusion, temperature
        shares = [weight / sum(weights) for weight in weights] if weights else None
        if shares is not None:
            self.register_buffer('shares', torch.tensor(shares)[:, None], persistent=False)
        self.generator: torch.Generator | None = None
        self.name = f'{fusion}({", ".join(member.name for member in self.members)})'
        extra = {'weighted': f' {shares}', 'worst': f' temperature={temperature}'}
        versions = ', '.join(member.version for member in self.members)
        self.version = versions + extra.get(fusion, '')
        self.min_size = max(member.min_size for member in self.members)
        self.differentiable = all(member.differentiable for member in self.members)
        self.needs_reference = any(member.needs_reference for member in self.members)

    def _score(self, image: Tensor, reference: Tensor | None = None) -> Tensor:
        members = [self._draw_member()] if self.fusion == 'random' else self.members
        quality = torch.stack([m.normalise(m(image, reference)) for m in members])
        if self.fusion == 'weighted':
            return (quality * self.shares).sum(0)
        if self.fusion == 'worst':
            sharpened = torch.logsumexp(-quality / self.temperature, 0) - math.log(len(members))
            return -self.temperature * sharpened
        return quality.mean(0)

    def _draw_member(self) -> QualityScorer:
        if self.generator is None:
            raise ValueError(
                f"{self.name}: fusion 'random' is for train.<name>_opt of type QualityLoss only; "
                'use mean, weighted or worst here.'
            )
        return self.members[int(torch.randint(len(self.members), (), generator=self.generator))]


def build_bounded(section: Mapping[str, Any]) -> QualityScorer:
    """Build a scorer whose quality can be mapped to [0, 1].

    Args:
        section: ``type`` and options of the scorer, and optionally ``range``: its worst and best
            score, as published, in this order (``[20, 0]`` where lower is better).

    Returns:
        The scorer, with ``range``, where given, as its score range.

    Raises:
        ValueError: If there is no finite range, or it is reversed.
    """
    scorer = build(SCORER_REGISTRY, {k: v for k, v in section.items() if k != 'range'})
    if 'range' in section:
        worst, best = scorer.published(torch.tensor(section['range'])).tolist()
        scorer.score_range = (worst, best)
    worst, best = scorer.score_range
    if not -math.inf < worst < best < math.inf:
        ends = scorer.published(torch.tensor(scorer.score_range)).tolist()
        better = 'lower' if scorer.lower_better else 'higher'
        raise ValueError(
            f'{scorer.name}: scores from {ends[0]:g} (worst) to {ends[1]:g} (best) cannot be '
            f'mapped to [0, 1]; {better} is better. Give `range: [worst, best]` with the scorer.'
        )
    return scorer
