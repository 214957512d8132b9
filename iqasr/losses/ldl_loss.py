"""The artifact loss of LDL.

Source:
    Liang et al. (2022), Details or Artifacts: A Locally Discriminative Learning Approach to
    Realistic Image Super-Resolution, section 3.3; the map is that of BasicSR, LDL and HGGT.
    Deviation: the variance of an image is kept above 1e-12, without which an output that equals
    its ground truth has no finite gradient. Implementation: written here.
"""

import torch
from basicsr.losses.loss_util import get_local_weights
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from iqasr.registry import LOSS_REGISTRY


def artifact_map(gt: Tensor, output: Tensor, average: Tensor | None, window: int = 7) -> Tensor:
    r"""Measure where an output has artifacts rather than details.

    With the residuals :math:`R = \sum_c |y - \hat y|` of the output and :math:`\bar R` of the
    averaged network's, it is :math:`\mathrm{var}(R)^{1/5} \cdot \mathrm{var}_{window}(R)`, and 0
    where :math:`R < \bar R`.

    Args:
        gt: :math:`y`, :math:`(N, 3, H, W)`.
        output: :math:`\hat y`, of the same shape.
        average: The averaged network's output for the same input; None for no such zeros.
        window: Side of the local variance, in pixels; odd.

    Returns:
        :math:`(N, 1, H, W)`, at least 0.
    """
    residual = (gt - output).abs().sum(1, keepdim=True)
    overall = residual.var(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12) ** 0.2
    weight = overall * get_local_weights(residual, window)
    if average is None:
        return weight
    return weight.masked_fill(residual < (gt - average).abs().sum(1, keepdim=True), 0)


@LOSS_REGISTRY.register()
class LDLLoss(nn.Module):
    """Mean absolute difference of output and ground truth, weighted by `artifact_map`.

    Without the averaged network's output, the map has no zeros; iqasr's option files must
    therefore keep an averaged network (``ema_decay``).

    Args:
        loss_weight: Weight; 0 switches the term off.
        window: Side of the window of the local variance, in pixels; odd.
        detach_map: Keep the gradient out of the map. As published, it flows through it.

    Raises:
        ValueError: If the window is even.
    """

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

    def forward(self, output: Tensor, gt: Tensor, *, average: Tensor | None = None) -> Tensor:
        """Compare images, :math:`(N, 3, H, W)` in [0, 1]; `average` as of `artifact_map`."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.detach_map):
            weight = artifact_map(gt, output, average, self.window)
        return self.loss_weight * (weight * (output - gt)).abs().mean()
