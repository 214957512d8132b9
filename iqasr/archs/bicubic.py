"""Bicubic interpolation as a network: the baseline of every table."""

import torch.nn.functional as F
from torch import Tensor, nn

from iqasr.registry import ARCH_REGISTRY


@ARCH_REGISTRY.register()
class Bicubic(nn.Module):
    """Enlarges by bicubic interpolation; it has no weights.

    Args:
        upscale: Up-sampling factor.
    """

    def __init__(self, upscale: int) -> None:
        super().__init__()
        self.upscale = upscale

    def forward(self, lq: Tensor) -> Tensor:
        """Enlarge.

        Args:
            lq: :math:`(N, 3, H, W)` in [0, 1].

        Returns:
            :math:`(N, 3, sH, sW)`; may leave [0, 1] slightly.
        """
        # With antialias, PyTorch uses the cubic of MATLAB and Pillow (a = -0.5).
        return F.interpolate(lq, scale_factor=self.upscale, mode='bicubic', antialias=True)
