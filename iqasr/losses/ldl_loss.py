"""The local artifact term of LDL.

Source:
    Liang et al. (2022), Details or Artifacts: A Locally Discriminative Learning Approach to
    Realistic Image Super-Resolution, section 3.3; the map is that of BasicSR, LDL and HGGT.
    Deviation: the variance of an image is kept above 1e-12, without which an output that equals
    its ground truth has no finite gradient. Implementation: written here.
"""

import torch
from basicsr.losses.loss_util import get_local_weights
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from iqasr.losses.objective import Batch, Term
from iqasr.registry import LOSS_REGISTRY


def artifact_map(gt: Tensor, output: Tensor, average: Tensor, window: int = 7) -> Tensor:
    r"""Tell where an output has artifacts rather than details.

    With the residuals :math:`R = \sum_c |y - \hat y|` of the output and :math:`\bar R` of the
    averaged network's, it is :math:`\mathrm{var}(R)^{1/5} \cdot \mathrm{var}_{window}(R)`, and 0
    where :math:`R < \bar R`.

    Args:
        gt: :math:`y`, :math:`(N, 3, H, W)`.
        output: :math:`\hat y`, of the same shape.
        average: What the averaged network makes of the same input.
        window: Side of the local variance, in pixels; odd.

    Returns:
        :math:`(N, 1, H, W)`, at least 0.
    """
    residual = (gt - output).abs().sum(1, keepdim=True)
    smoother = (gt - average).abs().sum(1, keepdim=True)
    overall = residual.var(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12) ** 0.2
    weight = overall * get_local_weights(residual, window)
    return weight.masked_fill(residual < smoother, 0)


@LOSS_REGISTRY.register()
class LDLLoss(Term):
    """Distance of the output to the ground truth, weighted by `artifact_map`; needs `ema_decay`.

    Args:
        loss_weight: Weight; 0 only logs.
        window: Side of the window of the local variance, in pixels; odd.
        detach_map: Keep the gradient out of the map. As published, it flows through it.

    Raises:
        ValueError: If the window is even.
    """

    needs_average = True

    def __init__(
        self,
        *,
        loss_weight: NonNegativeFloat = 1.0,
        window: PositiveInt = 7,
        detach_map: bool = False,
    ) -> None:
        super().__init__()
        if window % 2 == 0:
            raise ValueError(f'LDLLoss: window is {window}; use an odd number.')
        self.loss_weight, self.window, self.detach_map = loss_weight, window, detach_map

    def forward(self, batch: Batch) -> Tensor:
        """Compare the output with the ground truth where it has artifacts."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.detach_map):
            weight = artifact_map(batch.gt, batch.output, batch.average, self.window)
        return self.loss_weight * (weight * (batch.output - batch.gt)).abs().mean()
