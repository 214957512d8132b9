"""Choices among candidates whose quality is known before anything is read."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from iqasr.data.candidates.group import Group
from iqasr.data.scores.known_quality import KnownQuality
from iqasr.quality.normalisation import normalise_quality
from iqasr.sampling.base import GTSampler, draw, perplexity

logger = logging.getLogger('iqasr')


class ChoiceTable:
    """Quality and policy of every group, or of every place of a quality map in each.

    Args:
        groups: The groups.
        allowed: Which candidates may be chosen, :math:`(N, K)` bool.
        sampler: The policy.
        known: Quality of the candidates; None for a policy that needs none.
        norm: How quality is normalised, over the candidates that may be chosen.

    Raises:
        ValueError: If no candidate that may be chosen has a finite score.
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
        if known is not None and sampler.needs_quality:
            require_scores(quality, known)
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


def require_scores(quality: Tensor, known: KnownQuality) -> None:
    """Refuse quality without a finite score; say where a choice is drawn for want of one.

    Args:
        quality: :math:`(N, K)`, as in `GTSampler.probabilities`.
        known: Where it comes from.

    Raises:
        ValueError: If there is no finite score at all.
    """
    unscored = ~quality.isfinite().any(1)
    count = int(unscored.sum())
    if count == len(quality):
        raise ValueError(
            f"{known.path}: holds no finite score by '{known.scorer}' of a candidate that may be "
            f'chosen. {known.how_to_update}'
        )
    if count:
        logger.warning(
            '%s: in %d of %d choices no candidate has a finite score; they are drawn uniformly.',
            known.path,
            count,
            len(quality),
        )
