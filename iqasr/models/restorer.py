"""Images of any size, restored by a network that takes only some sizes, whole or in tiles."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from iqasr.archs.sizes import sizes_of
from iqasr.models.self_ensemble import restore_in_views
from iqasr.models.tiling import restore_tiled


class Restorer:
    """Restores images of any size with a generator, in tiles if so asked.

    Args:
        scale: How many times the generator enlarges.
        tile_px: Side of the tiles, in pixels of the input; None restores images whole.
        tile_overlap_px: Pixels seen beyond each side of a tile.
        self_ensemble: Take the mean over eight orientations of the input.
    """

    def __init__(
        self,
        scale: int,
        tile_px: int | None = None,
        tile_overlap_px: int = 32,
        *,
        self_ensemble: bool = False,
    ) -> None:
        self.scale, self.tile_px, self.tile_overlap_px = scale, tile_px, tile_overlap_px
        self.self_ensemble = self_ensemble

    @torch.no_grad()
    def __call__(self, network: nn.Module, lq: Tensor) -> Tensor:
        """Restore in evaluation mode; the network's own mode stays as it is.

        Args:
            network: The generator.
            lq: :math:`(N, 3, H, W)` RGB in [0, 1], any size.

        Returns:
            :math:`(N, 3, sH, sW)` RGB, not clamped.
        """
        training = network.training
        network.eval()
        restore = partial(
            restore_whole, network, scale=self.scale, self_ensemble=self.self_ensemble
        )
        if self.tile_px is None:
            output = restore(lq)
        else:
            output = restore_tiled(
                restore,
                lq,
                scale=self.scale,
                tile_px=self.tile_px,
                overlap_px=self.tile_overlap_px,
            )
        network.train(training)
        return output


def restore_whole(
    network: nn.Module, lq: Tensor, scale: int, *, self_ensemble: bool = False
) -> Tensor:
    """Restore images, padded to a size that the network takes; see `Restorer`."""
    if self_ensemble:
        return restore_in_views(partial(restore_whole, network, scale=scale), lq)
    height, width = lq.shape[-2:]
    rows, columns = sizes_of(network).padding(height, width)
    mode = 'reflect' if columns < width and rows < height else 'replicate'
    return network(F.pad(lq, (0, columns, 0, rows), mode))[..., : height * scale, : width * scale]
