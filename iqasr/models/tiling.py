"""Large images, restored tile by tile."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor


def restore_tiled(
    restore: Callable[[Tensor], Tensor],
    lq: Tensor,
    *,
    scale: int,
    tile_px: int,
    overlap_px: int,
    batch: int = 1,
) -> Tensor:
    """Restore images in tiles, each with some of what surrounds it, which is cut off afterwards.

    The output is that of the whole image, but for rounding, where no output pixel depends on inputs
    that are more than `overlap_px` away.

    Args:
        restore: From :math:`(N, 3, H, W)` of any size to :math:`(N, 3, sH, sW)`.
        lq: :math:`(N, 3, H, W)`.
        scale: :math:`s`.
        tile_px: Side of the tiles, in pixels of `lq`; those at the right and lower end may be less.
        overlap_px: Pixels of `lq` seen beyond each side of a tile, where there are any.
        batch: Most tiles per call of `restore`; only neighbours of one size come together.

    Returns:
        :math:`(N, 3, sH, sW)`.
    """
    height, width = lq.shape[-2:]
    output = lq.new_empty(*lq.shape[:-2], height * scale, width * scale)
    tiles = [
        (
            (top * scale, left * scale),
            tile_at(top, height, tile_px, overlap_px, scale),
            tile_at(left, width, tile_px, overlap_px, scale),
        )
        for top in range(0, height, tile_px)
        for left in range(0, width, tile_px)
    ]
    for run in group_by_size(tiles, batch):
        seen = torch.cat([lq[..., rows[0], columns[0]] for _, rows, columns in run])
        restored = restore(seen).split(len(lq))
        for ((top, left), rows, columns), whole in zip(run, restored, strict=True):
            tile = whole[..., rows[1], columns[1]]
            output[..., top:, left:][..., : tile.shape[-2], : tile.shape[-1]] = tile
    return output


def group_by_size(tiles: Sequence[tuple], batch: int) -> Iterator[Sequence[tuple]]:
    """Put neighbouring tiles of which the network sees equally much together, up to `batch`."""

    def size(tile: tuple) -> tuple[int, int]:
        return tuple(seen.stop - seen.start for seen, _ in tile[1:])

    for _, group in groupby(tiles, size):
        run = list(group)
        yield from (run[first : first + batch] for first in range(0, len(run), batch))


def tile_at(start: int, length: int, tile: int, overlap: int, scale: int) -> tuple[slice, slice]:
    """Place a tile on a line.

    Returns:
        What the network sees, and what of its output is kept.

    Example:
        >>> tile_at(8, 20, tile=8, overlap=2, scale=4)
        (slice(6, 18, None), slice(8, 40, None))
    """
    first, last = max(0, start - overlap), min(length, start + tile + overlap)
    end = min(length, start + tile)
    return slice(first, last), slice((start - first) * scale, (end - first) * scale)
