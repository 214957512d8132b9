"""The choice of a ground truth for every sample of a batch."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from iqasr.data.files.crop import turned
from iqasr.degradation import from_uint8
from iqasr.quality.normalisation import normalise_quality
from iqasr.registry import GT_SAMPLER_REGISTRY, SCORER_REGISTRY, build
from iqasr.runtime.errors import OptionError
from iqasr.sampling.base import GTSampler, perplexity


def build_choice(section: Mapping[str, Any], device: torch.device) -> 'GTChoice':
    """Build the choice of a training set.

    Args:
        section: Its section: ``sampling``, ``quality`` and ``gt_size``.
        device: Where an online scorer works.

    Raises:
        OptionError: If the crops are too small for the scorer.
    """
    sampler, quality = build(GT_SAMPLER_REGISTRY, section['sampling']), section.get('quality') or {}
    if not quality or quality.get('table') or quality.get('map'):
        return GTChoice(sampler)
    scorer = build(SCORER_REGISTRY, quality['scorer'])
    if scorer.needs_reference:
        raise OptionError(
            f'datasets.train.quality.scorer: {scorer.name} compares with a reference image; '
            'candidates are chosen by a scorer that looks at one image.'
        )
    if section['gt_size'] < scorer.min_size:
        raise OptionError(
            f'datasets.train.gt_size: {section["gt_size"]} px are too few for {scorer.name}, which '
            f'needs {scorer.min_size}. Use larger crops, or another quality.scorer.'
        )
    return GTChoice(sampler, scorer.to(device), quality.get('norm', 'none'))


class GTChoice:
    """Finds the chosen ground truth in a batch, scoring the candidates first when that is asked.

    With quality known beforehand the worker has chosen already and read only what it chose. Online,
    the batch holds the same crop of every candidate; they are scored in one call, as they lie in
    their images, then sampled; what was chosen is turned as drawn.

    Args:
        sampler: The policy.
        scorer: Scores crops online; None when the worker chooses.
        norm: How scores are normalised before the policy sees them.
    """

    def __init__(
        self, sampler: GTSampler, scorer: nn.Module | None = None, norm: str = 'none'
    ) -> None:
        self.sampler = sampler
        self.scorer = scorer
        self.norm = norm

    def __call__(
        self, data: Mapping[str, Any], generator: torch.Generator, device: torch.device
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Choose.

        Args:
            data: A collated batch of `MultiGTDataset`.
            generator: CPU generator of this batch.
            device: Where the images go.

        Returns:
            Ground truths, :math:`(N, 3, H, W)` of the type of the data, on `device`, and values to
            log.
        """
        if self.scorer is None:
            gt, quality, choice, spread = (
                data[name].to(device, non_blocking=True)
                for name in ('gt', 'quality', 'choice', 'perplexity')
            )
        else:
            candidates = data['candidates'].to(device, non_blocking=True)
            quality = self.score(candidates, data['allowed'])
            probabilities = self.sampler.probabilities(quality)
            choice = self.sampler.sample(quality, generator)
            spread = perplexity(probabilities)
            chosen = candidates[torch.arange(len(choice), device=device), choice]
            turns = data['turns'].tolist()
            gt = torch.stack([turned(c, *t) for c, t in zip(chosen, turns, strict=True)])
        log = choice_log(choice, spread, count=quality.shape[1])
        if self.sampler.needs_quality:
            log |= quality_log(quality, choice)
        return gt, log

    @torch.no_grad()
    def score(self, candidates: Tensor, allowed: Tensor) -> Tensor:
        """Score the allowed candidates of a batch.

        Args:
            candidates: :math:`(N, K, 3, H, W)` uint8, or float32 in [0, 1], where the scorer works.
            allowed: :math:`(N, K)` bool, on the CPU: which to score.

        Returns:
            Normalised quality, :math:`(N, K)` beside the candidates; ``-inf`` where not allowed.
        """
        # Places are found on the CPU: finding them on the device would wait for it.
        found = allowed.nonzero(as_tuple=True)
        places = tuple(index.to(candidates.device, non_blocking=True) for index in found)
        images = candidates[places]
        images = from_uint8(images) if images.dtype == torch.uint8 else images
        quality = torch.full(allowed.shape, float('-inf'), device=candidates.device)
        quality[places] = self.scorer(images).to(quality)
        return normalise_quality(
            quality, self.norm, score_range=self.scorer.score_range, mean=0.0, std=1.0
        )


def choice_log(choice: Tensor, spread: Tensor, *, count: int) -> dict[str, Tensor]:
    """Summarise the choices of a batch.

    Args:
        choice: :math:`(N,)` indices.
        spread: :math:`(N,)` perplexities of the probabilities they were drawn from.
        count: Number of candidates.

    Returns:
        ``choice_<k>``: the share of samples that chose candidate k; ``choice_perplexity``: 1 when
        the policy is certain.
    """
    share = (choice[:, None] == torch.arange(count, device=choice.device)).float().mean(0)
    return {f'choice_{k}': share[k] for k in range(count)} | {'choice_perplexity': spread.mean()}


def quality_log(quality: Tensor, choice: Tensor) -> dict[str, Tensor]:
    """Compare what was chosen with what there was.

    Args:
        quality: :math:`(N, K)`; ``-inf`` or NaN where there is none.
        choice: :math:`(N,)` indices.

    Returns:
        ``quality_chosen`` and ``quality_mean``, over the finite scores; NaN if there are none.
    """
    finite = quality.where(quality.isfinite(), float('nan'))
    return {
        'quality_chosen': finite.gather(1, choice[:, None]).nanmean(),
        'quality_mean': finite.nanmean(1).nanmean(),
    }
