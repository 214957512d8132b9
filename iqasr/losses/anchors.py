"""Anchors: losses that keep the output close to its input, or to the output before training.

A quality score does not ask whether an image is still faithful to its input. These losses do.

Source:
    `LRConsistencyLoss`: the back-projection error of Irani and Peleg (1991), Improving resolution
    by image registration. `BaseDistanceLoss`: the penalty on leaving the initial model of Ouyang et
    al. (2022), Training language models to follow instructions with human feedback, as a distance
    of images; on Gram matrices as in Sun et al. (2024), RFSR, arXiv 2412.03268. Implementation:
    written here; deviation from RFSR: the Gram matrices are those of VGG19.
"""

from typing import Any, Literal

import torch.nn.functional as F
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from iqasr.losses.low_pass import low_pass
from iqasr.losses.quality_loss import QualityLoss
from iqasr.losses.term import build_term, require_input, summed
from iqasr.registry import LOSS_REGISTRY

BORDER = 2
"""Width of the border of an LQ crop that depends on pixels outside the crop."""

VGG_LOSS = {
    'type': 'PerceptualLoss',
    'layer_weights': {'conv1_2': 0.1, 'conv2_2': 0.1, 'conv3_4': 1, 'conv4_4': 1, 'conv5_4': 1},
}

DISTANCES: dict[str, dict[str, Any]] = {
    'l1': {'type': 'L1Loss'},
    'l2': {'type': 'MSELoss'},
    'feature': VGG_LOSS,
    'gram': VGG_LOSS | {'perceptual_weight': 0, 'style_weight': 1},
}
"""BasicSR's loss for each distance of two images."""


@LOSS_REGISTRY.register()
class LRConsistencyLoss(nn.Module):
    """Distance of the output, reduced as by `BicubicDegradation`, to the LQ.

    If the LQ is made so, the original has a distance of 0, up to rounding and clamping. If it is
    also blurred, noisy or compressed, the output learns to keep that, unless only low frequencies
    are compared (`sigma_px`). Two pixels at the border are left out.

    Args:
        loss_weight: Weight; 0 switches the term off.
        criterion: Mean absolute (``l1``) or squared (``l2``) difference.
        sigma_px: Blur both by a Gaussian of this standard deviation first, in pixels of the LQ. 0
            compares them as they are; the larger, the more only colours and brightness count.
    """

    def __init__(
        self,
        *,
        loss_weight: NonNegativeFloat = 1.0,
        criterion: Literal['l1', 'l2'] = 'l1',
        sigma_px: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__()
        self.loss_weight, self.criterion, self.sigma_px = loss_weight, criterion, sigma_px

    def forward(
        self, output: Tensor, gt: Tensor | None = None, *, lq: Tensor | None = None
    ) -> Tensor:
        """Compare the reduced output with the LQ; `gt` is not looked at.

        Raises:
            ValueError: If there is no `lq`, or nothing is left of it without its border.
        """
        require_input(self, 'lq', lq, 'the low-quality input, (N, 3, H, W) in [0, 1]')
        size = lq.shape[-2:]
        if min(size) <= 2 * BORDER:
            raise ValueError(
                f'LRConsistencyLoss leaves out {BORDER} pixels at each side of the LQ, which has '
                f'{size[0]}x{size[1]}: nothing remains. Make the crops larger (gt_size), or remove '
                'this term.'
            )
        reduced = F.interpolate(output.float(), size, mode='bicubic', antialias=True)
        difference = (reduced - lq.float())[..., BORDER:-BORDER, BORDER:-BORDER]
        if self.sigma_px:
            difference = low_pass(difference, self.sigma_px)
        distance = difference.abs() if self.criterion == 'l1' else difference.square()
        return self.loss_weight * distance.mean()


@LOSS_REGISTRY.register()
class BaseDistanceLoss(nn.Module):
    """Distance of the output to the base: the output of the network as it was before this run.

    It is 0 at first, unless the network drops layers at random in training, which the base does not
    (SwinIR's ``drop_path_rate``).

    Args:
        loss_weight: Weight; 0 switches the term off, a large one keeps the network as it was.
        distance: Mean absolute (``l1``) or squared (``l2``) difference of pixels, or mean absolute
            difference of VGG19's features (``feature``; HGGT's perceptual loss) or of their Gram
            matrices (``gram``: texture, wherever it is).
        scorer: Section of a full-reference scorer, whose distance takes the place of `distance`:
            how far the quality of the output, compared with the base, is below the best one, in
            units of the scorer's range (the published LPIPS, ST-LPIPS or DISTS).

    Raises:
        MissingWeightsError: If weights are neither here nor can be downloaded.
        ValueError: If `scorer` needs no reference, or fails its self-test.
    """

    def __init__(
        self,
        *,
        loss_weight: NonNegativeFloat = 1.0,
        distance: Literal['l1', 'l2', 'feature', 'gram'] = 'l1',
        scorer: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        if scorer is None:
            self.distance = build_term(DISTANCES[distance]).loss
            return
        self.distance = QualityLoss(scorer, loss_weight=1.0)
        if not self.distance.scorer.needs_reference:
            raise ValueError(
                f'scorer: {self.distance.scorer.name} compares with nothing; use a full-reference '
                'one, such as LPIPSScorer.'
            )

    def check_size(self, side: int) -> None:
        """Refuse output crops, side in pixels, that are too small for the scorer.

        Raises:
            ValueError: If they are.
        """
        if isinstance(self.distance, QualityLoss):
            self.distance.check_size(side)

    def forward(
        self, output: Tensor, gt: Tensor | None = None, *, base: Tensor | None = None
    ) -> Tensor:
        """Compare the output with the base's; `gt` is not looked at.

        Raises:
            ValueError: If there is no `base`.
        """
        meaning = 'the output of the network as it was before this run'
        require_input(self, 'base', base, meaning)
        return self.loss_weight * summed(self.distance(output, base))
