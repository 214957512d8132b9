"""The quality term: how far the output falls short of a scorer's best.

Source:
    Zhang et al. (2025), Augmenting perceptual super-resolution via image quality predictors, CVPR:
    weighted quality is subtracted from the loss. Written here; deviations: quality is normalised,
    and calibration, warm-up, target, views and the check of the headroom are additions.
"""

import logging
from typing import Any

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Generator, Tensor, nn

from iqasr.losses.calibration import GradientRatio
from iqasr.losses.low_pass import LowPassGradient
from iqasr.losses.saturation import Headroom, measure_headroom
from iqasr.losses.term import require_input
from iqasr.losses.views import Views
from iqasr.quality.base import QualityScorer
from iqasr.quality.ensemble import EnsembleScorer, build_bounded
from iqasr.quality.self_test import run_self_test
from iqasr.registry import LOSS_REGISTRY
from iqasr.runtime.randomness import generator_at

logger = logging.getLogger('iqasr')

TEST_SIZE = 96
"""Side of the images of the self-test in pixels, unless the scorer needs larger ones."""


@LOSS_REGISTRY.register()
class QualityLoss(nn.Module):
    """One minus the normalised quality of the output, averaged over batch and views.

    The scorer is tested at construction, and is no part of the loss's modules, parameters or state.
    A full-reference scorer gets the ground truth under the same view.

    Args:
        scorer: Section of the scorer, with ``range: [worst, best]`` where it has no finite one.
        loss_weight: Weight; or give `gradient_ratio`.
        gradient_ratio: Find the weight at which this term's gradient to the output has so many
            times the norm of that of the other terms together (0.5 is a good start).
        calibrate_iter: How many batches that weight is the median of: the first ones, later the
            last ones that were measured.
        calibrate_every: After the first ones, measure in one iteration of so many; 0 lets the
            weight stay. It never rises above ten times its first value.
        warmup_iter: The weight rises linearly until this iteration.
        target: Normalised quality, mostly in [0, 1], from which an image gives no gradient; None
            for no limit.
        views: Random views that quality is averaged over.
        gradient_sigma_px: Blur the gradient to the output by a Gaussian of this standard deviation,
            in pixels, so that no finer pattern is learnt from it. 0 leaves it as it is.
        allow_saturated: Train even if the score has no room above the network's own output; see
            `check_start`.

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
        calibrate_every: NonNegativeInt = 20,
        warmup_iter: NonNegativeInt = 0,
        target: float | None = None,
        views: Views | None = None,
        gradient_sigma_px: NonNegativeFloat = 0.0,
        allow_saturated: bool = False,
    ) -> None:
        super().__init__()
        if (loss_weight is None) == (gradient_ratio is None):
            raise ValueError('give either loss_weight or gradient_ratio (0.5 is a good start).')
        self.loss_weight = loss_weight
        self.calibration: GradientRatio | None = None
        if gradient_ratio is not None:
            self.calibration = GradientRatio(gradient_ratio, calibrate_iter, calibrate_every)
        self.notes: dict[str, Tensor] = {}
        self.warmup_iter, self.target = warmup_iter, target
        self.gradient_sigma_px, self.allow_saturated = gradient_sigma_px, allow_saturated
        self.views = Views.model_validate(views or {})
        self._scorer = [build_bounded(scorer)]  # in a list, so that it is no submodule
        if self.views.crop:
            self.check_size(self.views.crop)
        for module in self.scorer.modules():
            if isinstance(module, QualityScorer) and not isinstance(module, EnsembleScorer):
                logger.info('%s', run_self_test(module, max(TEST_SIZE, module.min_size)))

    @property
    def scorer(self) -> QualityScorer:
        """The scorer that is optimised."""
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

    @property
    def is_pushed(self) -> bool:
        """Whether training is to raise the score, not only to hold it (as one with a reference)."""
        return self.loss_weight != 0 and not self.scorer.needs_reference

    def check_start(self, output: Tensor, gt: Tensor) -> str:
        """Look at what the network makes before it is trained; all processes call it.

        Args:
            output: What the network makes, :math:`(N, 3, H, W)`.
            gt: Ground truth, alike.

        Returns:
            What was found, in words.

        Raises:
            ValueError: If score or gradient is not finite; or, unless `allow_saturated`, if the
                score is to be raised and has no room; see `iqasr.losses.saturation`.
        """
        # The same views of all images, apart from the run's draws.
        place = 'headroom', self.scorer.name
        headroom = measure_headroom(lambda x: self.quality(x, gt, generator_at(*place)), output, gt)
        found = self.describe(headroom)
        if not headroom.is_finite:
            raise ValueError(
                f'{found}. Without a number nothing can be learnt: use another scorer.'
            )
        if headroom.is_saturated and self.is_pushed and not self.allow_saturated:
            raise ValueError(
                f'{found}. There is no room to gain. Use another scorer, or a range whose best end '
                'lies higher; allow_saturated: true trains all the same.'
            )
        return found

    def describe(self, headroom: Headroom) -> str:
        """Put a measurement into words, in the scorer's published units, too."""
        ends = torch.tensor(self.scorer.score_range)
        worst, best = (self.scorer.published(ends) + 0.0).tolist()  # no -0
        own, gt = (f'{worst + value * (best - worst):.3g}' for value in headroom[:2])
        return (
            f"{self.scorer.name} scores the network's output at {headroom.output:.2f} of 1 ({own} "
            f'of {worst:g}..{best:g}), the ground truth at {headroom.gt:.2f} ({gt}); its gradient '
            f'is {headroom.slope:.1%} of that on the ground truth reduced and enlarged'
        )

    def forward(
        self,
        output: Tensor,
        gt: Tensor | None = None,
        *,
        generator: Generator | None = None,
        iteration: int | None = None,
    ) -> Tensor:
        """Return the weighted mean of how far quality falls short of 1, or of the target.

        Args:
            output: :math:`(N, 3, H, W)`, clamped to [0, 1] for the scorer.
            gt: Ground truth of the same shape; only a full-reference scorer looks at it.
            generator: CPU generator; only random views and ensemble members draw from it.
            iteration: Number of the iteration, from 1, for the warm-up; None for the full weight.

        Raises:
            ValueError: If one of these is needed and missing, or the weight is not calibrated.
        """
        if self.calibration is not None and not len(self.calibration.measured):
            raise ValueError(
                'gradient_ratio: only iqasr.losses.Objective measures it; give loss_weight.'
            )
        quality = self.quality(output, gt, generator)
        missing = 1 - quality if self.target is None else (self.target - quality).relu()
        loss = missing.mean()
        one = torch.ones_like(loss.detach(), dtype=torch.float64)  # so that only the end is rounded
        weight = (one * self.weight(iteration)).to(loss.dtype)
        self.notes = {'q': quality.detach().mean(), 'w': weight}
        return weight * loss

    def calibrate(
        self, others: Tensor, output: Tensor, gt: Tensor, *, iteration: int, generator: Generator
    ) -> None:
        """Measure the term's gradient beside that of the others, where it is due."""
        if not self.calibration.is_due(iteration):
            return
        # Without the target, beyond which there is no gradient to measure.
        quality = self.quality(output, gt, generator)
        self.calibration.measure((1 - quality).mean(), others, output)

    def weight(self, iteration: int | None) -> float | Tensor:
        """The weight at an iteration, from 1; None for that after the warm-up. In float64."""
        full = self.loss_weight if self.calibration is None else self.calibration.weight
        if not self.warmup_iter or iteration is None:
            return full
        return full * min(1.0, iteration / self.warmup_iter)

    def quality(
        self, output: Tensor, gt: Tensor | None = None, generator: Generator | None = None
    ) -> Tensor:
        """Score images, normalised, averaged over views, :math:`(N,)`; see `forward`."""
        scorer = self.scorer.to(output.device)
        compares, scores = scorer.needs_reference, []
        if compares:
            meaning = f'the ground truth, as {scorer.name} is full-reference'
            require_input(self, 'gt', gt, meaning)
        for module in scorer.modules():
            if isinstance(module, EnsembleScorer):
                module.generator = generator
        with torch.autocast(output.device.type, enabled=False):  # scorers are made for float32
            if self.gradient_sigma_px:
                output = LowPassGradient.apply(output, self.gradient_sigma_px)
            for _ in range(self.views.count):
                images = torch.cat([output.float(), gt]) if compares else output.float()
                view, *reference = self.views.draw(images, generator).chunk(1 + compares)
                scores.append(scorer.normalise(scorer(view, *reference)))
            return torch.stack(scores).mean(0)
