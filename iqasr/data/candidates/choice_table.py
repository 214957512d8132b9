"""Choices among candidates whose quality is known before anything is read."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from iqasr.data.candidates.group import Group
from iqasr.data.scores.known_quality import KnownQuality
from iqasr.quality.normalisation import normalise_quality
from iqasr.sampling.base import GTSampler, draw, perplexity


class ChoiceTable:
    """Quality and policy of every group, or of every place of a quality map in each.

    Args:
        groups: The groups.
        allowed: Which candidates may be chosen, :math:`(N, K)` bool.
        sampler: The policy.
        known: Quality of the candidates; None for a policy that needs none.
        norm: How quality is normalised, over the candidates that may be chosen.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        allowed: Tensor,
        sampler: GTSampler,
        known: KnownQuality | None,
        norm: str,
    ) -> None:
        rows = [] if known is None else [known.rows(group.key, group.names) for group in groups]
        counts = torch.tensor([len(of_group) for of_group in rows] or [1] * len(groups))
        self.first = (counts.cumsum(0) - counts).tolist()
        """First row of each group; those of its other places follow."""
        quality = torch.zeros(int(counts.sum()), allowed.shape[1])
        for first, of_group in zip(self.first, rows, strict=False):
            quality[first : first + len(of_group), : of_group.shape[1]] = of_group
        quality = quality.where(allowed.repeat_interleave(counts, 0), -torch.inf)
        if known is not None:
            quality = normalise_quality(
                quality, norm, score_range=known.score_range, mean=known.mean, std=known.std
            )
        self.quality = quality
        probabilities = sampler.probabilities(quality)
        self.cumulative = probabilities.cumsum(1)
        self.perplexity = perplexity(probabilities)

    def draw(self, index: int, place: int, generator: torch.Generator) -> dict[str, Any]:
        """Choose a candidate of a group at a place of its map, 0 without one.

        Returns:
            ``choice``, int64; ``perplexity`` of the policy; ``quality``, :math:`(K,)`.
        """
        row = self.first[index] + place
        return {
            'choice': draw(self.cumulative[row, None], generator)[0],
            'perplexity': self.perplexity[row],
            'quality': self.quality[row],
        }
