"""A discriminator that judges patches.

Source:
    Isola et al. (2017), Image-to-Image Translation with Conditional Adversarial Networks, appendix
    6.1.2 (70 x 70 PatchGAN). Deviations: no normalisation, or spectral (Miyato et al. 2018), in
    place of that of the batch. Implementation: written here.
"""

import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from iqasr.registry import ARCH_REGISTRY


@ARCH_REGISTRY.register()
class PatchDiscriminator(nn.Module):
    """Logits on a grid, each of which sees a patch of 70 x 70 pixels (3 layers; 34 with 2).

    Args:
        num_in_ch: Channels of the image.
        num_feat: Channels after the first layer; doubled by each further one, up to eightfold.
        num_layers: How often the image is halved; the patches double with each.
        spectral: Normalise the weights by their largest singular value.
    """

    def __init__(
        self,
        num_in_ch: int = 3,
        num_feat: PositiveInt = 64,
        num_layers: PositiveInt = 3,
        spectral: bool = True,
    ) -> None:
        super().__init__()
        widths = [num_in_ch] + [num_feat * min(2**k, 8) for k in range(num_layers + 1)] + [1]
        strides = [2] * num_layers + [1, 1]
        layers = [
            nn.Conv2d(n_in, n_out, 4, stride, 1)
            for n_in, n_out, stride in zip(widths, widths[1:], strides, strict=False)
        ]
        self.layers = nn.ModuleList(map(spectral_norm, layers) if spectral else layers)

    def forward(self, image: Tensor) -> Tensor:
        """Judge.

        Args:
            image: :math:`(N, C, H, W)` in [0, 1].

        Returns:
            :math:`(N, 1, h, w)` logits, positive for real patches.
        """
        features = image
        for layer in self.layers[:-1]:
            features = F.leaky_relu(layer(features), 0.2)
        return self.layers[-1](features)
