"""The quality term: what a scorer lacks to its best.

Source:
    Zhang et al. (2025), Augmenting perceptual super-resolution via image quality predictors, CVPR:
    weighted quality is subtracted from the loss. Written here; deviations: quality is normalised,
    and calibration, warm-up, target and views are additions.
"""

import logging
from dataclasses import replace
from typing import Any

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from iqasr.losses.calibration import GradientRatio
from iqasr.losses.low_pass import LowPassGradient
from iqasr.losses.objective import Batch, Term
from iqasr.losses.views import Views
from iqasr.quality.base import QualityScorer
from iqasr.quality.ensemble import EnsembleScorer, build_bounded
from iqasr.quality.self_test import check_scorer
from iqasr.registry import LOSS_REGISTRY

logger = logging.getLogger('iqasr')

TEST_SIZE = 96
"""Side of the images of the self-test in pixels, unless the scorer needs larger ones."""


@LOSS_REGISTRY.register()
class QualityLoss(Term):
    """One minus the normalised quality of the output, averaged over batch and views.

    The scorer is tested first, and is no part of the term's modules, parameters or state. A scorer
    that compares is given the ground truth, under the same view.

    Args:
        scorer: Section of the scorer, with ``range: [worst, best]`` where it has no finite one.
        loss_weight: Weight; or give `gradient_ratio`.
        gradient_ratio: Find the weight at which this term's gradient to the output has so many
            times the norm of that of the other terms together (0.5 is a good start).
        calibrate_iter: How many batches that weight is the median of; then it stays.
        warmup_iter: The weight rises linearly until this iteration.
        target: Normalised quality, mostly in [0, 1], from which on an image is good enough and
            gives no gradient; None for no end.
        views: Random views that quality is averaged over.
        gradient_sigma_px: Blur the gradient to the output by a Gaussian of this standard deviation,
            in pixels: no pattern finer than that is learnt from it. 0 leaves it as it is.

    Raises:
        ValueError: If the scorer fails its self-test, is given crops too small, or if not exactly
            one of `loss_weight` and `gradient_ratio` is given.
    """

    def __init__(
        self,
        scorer: dict[str, Any],
        *,
        loss_weight: NonNegativeFloat | None = None,
        gradient_ratio: PositiveFloat | None = None,
        calibrate_iter: PositiveInt = 100,
        warmup_iter: NonNegativeInt = 0,
        target: float | None = None,
        views: Views | None = None,
        gradient_sigma_px: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__()
        if (loss_weight is None) == (gradient_ratio is None):
            raise ValueError('give either loss_weight or gradient_ratio (0.5 is a good start).')
        self.loss_weight = loss_weight
        if gradient_ratio is not None:
            self.calibration = GradientRatio(gradient_ratio, calibrate_iter)
        self.warmup_iter, self.target = warmup_iter, target
        self.gradient_sigma_px = gradient_sigma_px
        self.views = Views.model_validate(views or {})
        built = build_bounded(scorer)
        self._scorer = [built]  # in a list, so that it is no submodule
        if self.views.crop:
            self.check_size(self.views.crop)
        for member in members_of(built):
            logger.info('%s', check_scorer(member, max(TEST_SIZE, member.min_size)))

    @property
    def scorer(self) -> QualityScorer:
        """What is optimised."""
        return self._scorer[0]

    def check_size(self, side: int) -> None:
        """Refuse output crops (side in pixels) of which a view is too small for the scorer.

        Raises:
            ValueError: If one can be.
        """
        if (self.views.crop or 0) > side:
            raise ValueError(f'views.crop: {self.views.crop} px are more than gt_size, {side}.')
        least = self.views.least_side(side)
        if least < self.scorer.min_size:
            raise ValueError(
                f'{self.scorer.name} needs {self.scorer.min_size} pixels a side; views of crops '
                f'of {side} can have {least}. Make gt_size or views larger.'
            )

    def forward(self, batch: Batch) -> Tensor:
        """Weigh what the output's quality lacks to 1, or to the target."""
        quality = self.quality(batch)
        missing = 1 - quality if self.target is None else (self.target - quality).relu()
        loss = missing.mean()
        weight = self.weight(batch.iteration)
        self.notes = {'q': quality.detach().mean(), 'w': torch.full_like(loss.detach(), weight)}
        return weight * loss

    def calibrate(self, others: Tensor, batch: Batch) -> None:
        """Measure the term's gradient beside that of the others, until enough is measured."""
        if not self.calibration.finished:
            # Without the target, beyond which there is no gradient to measure.
            self.calibration.measure((1 - self.quality(batch)).mean(), others, batch.output)

    def weight(self, iteration: int) -> float:
        """The weight at an iteration, from 1."""
        full = self.loss_weight if self.calibration is None else self.calibration.weight()
        return full * min(1.0, iteration / self.warmup_iter) if self.warmup_iter else full

    def quality(self, batch: Batch) -> Tensor:
        """Score the output, normalised, averaged over views; :math:`(N,)`."""
        device = batch.output.device
        with torch.autocast(device.type, enabled=False):  # scorers are not made for less precision
            return self._quality(self.scorer.to(device), batch)

    def _quality(self, scorer: QualityScorer, batch: Batch) -> Tensor:
        for module in scorer.modules():
            if isinstance(module, EnsembleScorer):
                module.generator = batch.generator
        if self.gradient_sigma_px:
            output = LowPassGradient.apply(batch.output, self.gradient_sigma_px)
            batch = replace(batch, output=output)
        views = [self._quality_of_view(scorer, batch) for _ in range(self.views.count)]
        return torch.stack(views).mean(0)

    def _quality_of_view(self, scorer: QualityScorer, batch: Batch) -> Tensor:
        output, reference = batch.output.float(), None
        if scorer.needs_reference:
            output = torch.cat([output, batch.gt])
        output = self.views.draw(output, batch.generator)
        if scorer.needs_reference:
            output, reference = output.chunk(2)
        return scorer.normalise(scorer(output, reference))


def members_of(scorer: QualityScorer) -> list[QualityScorer]:
    """List the single scorers in a scorer."""
    if not isinstance(scorer, EnsembleScorer):
        return [scorer]
    return [single for member in scorer.members for single in members_of(member)]
