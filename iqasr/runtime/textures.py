"""Textures to try networks on, which behave on noise as they never do on pictures."""

import torch
import torch.nn.functional as F
from torch import Tensor


def random_texture(height: int, width: int) -> Tensor:
    """Draw a texture, coarse and a little fine, always the same one of a size.

    Returns:
        :math:`(1, 3, height, width)` RGB in [0, 1].
    """
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, max(1, height // 8), max(1, width // 8), generator=generator)
    coarse = F.interpolate(coarse, (height, width), mode='bicubic').clamp(0, 1)
    return 0.9 * coarse + 0.1 * torch.rand(1, 3, height, width, generator=generator)
