"""The generator of HGGT: ESRGAN's, with pixel shuffle in place of nearest-neighbour enlargement.

Source:
    Chen et al. (2023), Human Guided Ground-truth Generation for Realistic Image Super-resolution;
    the class of the same name in https://github.com/ChrisDud0257/HGGT, whose weights fit.
    Deviation: with `scale` 1 or 2, where the input is unshuffled first, it still enlarges by 4
    afterwards, as BasicSR's ``RRDBNet`` does; HGGT's would not reach its scale. Written here, on
    BasicSR's blocks.
"""

from basicsr.archs.arch_util import Upsample, pixel_unshuffle
from basicsr.archs.rrdbnet_arch import RRDBNet
from torch import Tensor

from iqasr.registry import ARCH_REGISTRY


@ARCH_REGISTRY.register()
class RRDBPSNet(RRDBNet):
    """Residual-in-residual dense blocks, enlarged by pixel shuffle.

    Args:
        num_in_ch: Channels of the input.
        num_out_ch: Channels of the output.
        scale: Up-sampling factor: 1, 2 or 4.
        num_feat: Channels of the features.
        num_block: Number of blocks.
        num_grow_ch: Channels that each layer of a block adds.
    """

    def __init__(
        self,
        num_in_ch: int = 3,
        num_out_ch: int = 3,
        scale: int = 4,
        num_feat: int = 64,
        num_block: int = 23,
        num_grow_ch: int = 32,
    ) -> None:
        super().__init__(num_in_ch, num_out_ch, scale, num_feat, num_block, num_grow_ch)
        del self.conv_up1, self.conv_up2
        self.upsample = Upsample(4, num_feat)

    def forward(self, lq: Tensor) -> Tensor:
        """Enlarge.

        Args:
            lq: :math:`(N, C, H, W)` in [0, 1]; multiples of 2 (scale 2) or 4 (scale 1).

        Returns:
            :math:`(N, C, sH, sW)`, not clamped.
        """
        folded = pixel_unshuffle(lq, 4 // self.scale) if self.scale < 4 else lq
        features = self.conv_first(folded)
        features = features + self.conv_body(self.body(features))
        features = self.lrelu(self.upsample(features))
        return self.conv_last(self.lrelu(self.conv_hr(features)))
