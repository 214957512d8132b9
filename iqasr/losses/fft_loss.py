"""Distance of spectra, as a loss.

Source:
    Cho et al. (2021), Rethinking Coarse-to-Fine Approach in Single Image Deblurring; used by SAFMN
    (Sun et al. 2023). Implementation: written here.
"""

from typing import Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from iqasr.registry import LOSS_REGISTRY


@LOSS_REGISTRY.register()
class FFTLoss(nn.Module):
    """Mean absolute difference of the Fourier transforms of whole crops, which are not scaled.

    Args:
        loss_weight: Weight; 0 switches the term off.
        reduction: Mean or sum over real and imaginary parts.
    """

    def __init__(
        self, *, loss_weight: NonNegativeFloat = 1.0, reduction: Literal['mean', 'sum'] = 'mean'
    ) -> None:
        super().__init__()
        self.loss_weight, self.reduction = loss_weight, reduction

    def forward(self, output: Tensor, gt: Tensor) -> Tensor:
        """Compare the output with the ground truth, both :math:`(N, 3, H, W)`."""
        # The transform is linear, and has no half precision on every device.
        difference = torch.view_as_real(torch.fft.rfft2((output - gt).float())).abs()
        return self.loss_weight * getattr(difference, self.reduction)()
