"""Images in [0, 1]."""

import torch
from torch import Tensor


def clamp_to_unit(image: Tensor) -> Tensor:
    """Clamp to [0, 1], with the gradient of the identity in the closed interval.

    That of `torch.clamp` is 0 at the bounds too, where images have many pixels once they are
    rounded or clamped.

    Args:
        image: Floating point, of any shape.

    Returns:
        The same shape; NaN stays NaN. Values outside have no gradient.
    """
    return torch.where((image >= 0) & (image <= 1), image, image.detach().clamp(0, 1))
