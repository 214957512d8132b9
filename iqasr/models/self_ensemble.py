"""Self-ensemble: the mean of what a network makes of an image turned and mirrored.

Source:
    Timofte, Rothe and Van Gool (2016), Seven ways to improve example-based single image super
    resolution, CVPR; the networks with a plus sign in the tables of EDSR and its successors.
    Written here.
"""

from collections.abc import Callable
from itertools import product

from torch import Tensor

VIEWS = 8


def restore_in_views(restore: Callable[[Tensor], Tensor], lq: Tensor) -> Tensor:
    """Restore images in all eight orientations, one after the other; the mean of the outputs.

    Args:
        restore: From :math:`(N, C, H, W)` of any size to :math:`(N, C, sH, sW)`.
        lq: :math:`(N, C, H, W)`.

    Returns:
        :math:`(N, C, sH, sW)`.
    """
    total = 0.0
    for transposed, *mirrored in product((False, True), repeat=3):
        dims = [dim for dim, flip in zip((-2, -1), mirrored, strict=True) if flip]
        view = lq.flip(dims)
        output = restore(view.mT).mT if transposed else restore(view)
        total = total + output.flip(dims)
    return total / VIEWS
