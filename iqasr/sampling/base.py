"""The base class of policies that choose among candidate ground truths."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from iqasr.sampling.labels import Label

Candidates = Literal[
    'all', 'enhanced', 'positives', 'original', 'original+positives', 'positives-else-original'
]


class GTSampler(ABC):
    """Chooses the ground truth of a sample among its candidates, by their quality.

    A policy maps quality to `probabilities`, without randomness; `sample` draws from these. A
    subclass defines `_probabilities`.

    Args:
        candidates: Which candidates may be chosen at all: ``all``, ``enhanced`` (all but the
            original), ``positives`` (labelled better than the original), ``original``,
            ``original+positives``, or ``positives-else-original``: the positives, or the original
            in a group with negatives but no positives (as HGGT does beside its negative term).
        top_k: Choose among this many of the best, and those as good as the last of them; None for
            all.
        margin: Draw uniformly where the best leads the second best by less than this, in units of
            the quality; 0 never does.

    Raises:
        ValueError: If `top_k` is below 1 or `margin` is negative.
    """

    needs_quality: bool = True
    """Whether the choice depends on quality."""

    of_candidates: ClassVar[dict[str, tuple[bool | None, bool | None]]] = {
        'all': (True, True),
        'enhanced': (False, True),
        'positives': (False, None),
        'original': (True, False),
        'original+positives': (True, None),
        'positives-else-original': (False, None),
    }
    """Whether the original and the enhanced may be chosen; None: those labelled positive."""

    def __init__(
        self,
        *,
        candidates: Candidates = 'all',
        top_k: int | None = None,
        margin: float = 0.0,
    ) -> None:
        if candidates not in self.of_candidates:
            raise ValueError(
                f"candidates is '{candidates}'; use one of {', '.join(self.of_candidates)}."
            )
        if top_k is not None and top_k < 1:
            raise ValueError(f'top_k is {top_k}; use 1 or more, or leave it out to keep all.')
        if not margin >= 0:
            raise ValueError(f'margin is {margin}; use 0 or more, in units of the quality.')
        self.candidates, self.top_k, self.margin = candidates, top_k, margin
        self.needs_quality = type(self).needs_quality or top_k is not None

    @abstractmethod
    def _probabilities(self, quality: Tensor) -> Tensor:
        """Apply the policy to quality, :math:`(N, K)`, finite or ``-inf``, some finite in each row.

        Returns:
            Probabilities, :math:`(N, K)`, 0 where quality is ``-inf``.
        """

    def allowed_candidates(self, labels: Sequence[Label | None]) -> list[bool]:
        """Decide from the labels which candidates of a group may be chosen.

        Args:
            labels: One per candidate, the original first; None where nobody judged. The original's
                is ignored.

        Returns:
            Whether each candidate may be chosen. In a group without positives there may be none;
            leave such a group out.

        Raises:
            ValueError: If positives are asked for and no enhanced candidate has a label.
        """
        original, enhanced = self.of_candidates[self.candidates]
        if enhanced is not None:
            return [original] + [enhanced] * (len(labels) - 1)
        if all(label is None for label in labels[1:]):
            raise ValueError(
                f"candidates is '{self.candidates}', but the data carries no labels. "
                'Use `candidates: enhanced` (or all), or give labels.'
            )
        if self.candidates == 'positives-else-original' and Label.POSITIVE not in labels[1:]:
            original = Label.NEGATIVE in labels[1:]
        return [original] + [label == Label.POSITIVE for label in labels[1:]]

    def probabilities(self, quality: Tensor) -> Tensor:
        """Turn quality into a distribution over candidates.

        Args:
            quality: Quality of each candidate, :math:`(N, K)`, higher is better, any scale;
                ``-inf`` marks an absent or excluded candidate. One without a finite score (NaN) is
                excluded too where the policy `needs_quality`, unless no candidate of the row has
                one: then they are drawn uniformly.

        Returns:
            Probabilities, :math:`(N, K)`, in [0, 1], each row summing to 1.

        Raises:
            ValueError: If a row has no candidate left, on the CPU. On another device, an assertion
                fails there, since a check on the host would wait for the device.
        """
        present = quality != float('-inf')
        _require_candidates(present.any(1))
        if not self.needs_quality:
            quality = quality.masked_fill(present, 0.0)
        scored = quality.isfinite()
        has_score = scored.any(1, keepdim=True)
        quality = quality.where(scored, float('-inf')).where(has_score | ~present, 0.0)
        if self.top_k is not None and self.top_k < quality.shape[1]:
            last = quality.topk(self.top_k, dim=1).values[:, -1:]
            quality = quality.where(quality >= last, float('-inf'))
        kept = (quality > float('-inf')).to(quality)
        uniform = kept / kept.sum(1, keepdim=True)
        return torch.where(
            has_score & self._is_clear(quality), self._probabilities(quality), uniform
        )

    def _is_clear(self, quality: Tensor) -> Tensor:
        """Tell where the best leads by the margin, :math:`(N, 1)`."""
        if self.margin == 0 or quality.shape[1] == 1:
            return torch.ones_like(quality[:, :1], dtype=torch.bool)
        best, second = quality.topk(2, dim=1).values.split(1, dim=1)
        return best - second >= self.margin

    def sample(self, quality: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one candidate per row.

        Args:
            quality: As in `probabilities`, which lists the errors too.
            generator: CPU generator; one number is drawn per row, whatever the device.

        Returns:
            Indices, :math:`(N,)` int64, on the device of `quality`. The host does not wait for it.
        """
        return draw(self.probabilities(quality).cumsum(1), generator)


def draw(cumulative: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one candidate per row.

    Args:
        cumulative: Cumulative sums of the probabilities, :math:`(N, K)`.
        generator: As in `GTSampler.sample`.

    Returns:
        As `GTSampler.sample`.
    """
    # At most 1 - 2**-24: the product stays below the total, whatever the sum was rounded to.
    uniform = torch.rand(len(cumulative), 1, generator=generator)
    threshold = uniform.to(cumulative.device, non_blocking=True) * cumulative[:, -1:]
    return (cumulative <= threshold).sum(1)


def perplexity(probabilities: Tensor) -> Tensor:
    """Compute the number of equally likely candidates that a distribution amounts to.

    Args:
        probabilities: :math:`(N, K)`, rows summing to 1.

    Returns:
        The exponential of the entropy, :math:`(N,)`, in [1, K].

    Example:
        >>> perplexity(torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]))
        tensor([2., 1.])
    """
    return torch.special.entr(probabilities).sum(1).exp()


def _require_candidates(has_candidate: Tensor) -> None:
    message = 'a sample has no candidate ground truth left: all are absent or excluded.'
    if not has_candidate.is_cpu:
        torch._assert_async(has_candidate.all(), message)
    elif not has_candidate.all():
        rows = (~has_candidate).nonzero().flatten().tolist()
        raise ValueError(f'{message} Rows of the batch: {rows}.')
