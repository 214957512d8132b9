"""Large images, restored tile by tile."""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, product
from typing import NamedTuple

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
    rows, columns = (tiles_along(side, tile_px, overlap_px, scale) for side in (height, width))
    for run in group_by_size(product(rows, columns), batch):
        seen = torch.cat([lq[..., y.seen, x.seen] for y, x in run])
        for (y, x), whole in zip(run, restore(seen).split(len(lq)), strict=True):
            output[..., y.place, x.place] = whole[..., y.kept, x.kept]
    return output


class Tile(NamedTuple):
    """A tile, along one axis."""

    seen: slice
    """What the network sees of its input."""
    kept: slice
    """What is kept of what it makes of that."""
    place: slice
    """Where that belongs in the output."""


def group_by_size(
    tiles: Iterable[tuple[Tile, Tile]], batch: int
) -> Iterator[list[tuple[Tile, Tile]]]:
    """Put neighbouring tiles of which the network sees equally much together, up to `batch`."""
    for _, group in groupby(tiles, lambda tile: [t.seen.stop - t.seen.start for t in tile]):
        run = list(group)
        yield from (run[first : first + batch] for first in range(0, len(run), batch))


def tiles_along(length: int, tile: int, overlap: int, scale: int) -> list[Tile]:
    """Divide an axis into tiles.

    Example:
        >>> tiles_along(20, tile=8, overlap=2, scale=4)[1]
        Tile(seen=slice(6, 18, None), kept=slice(8, 40, None), place=slice(32, 64, None))
    """
    tiles = []
    for start in range(0, length, tile):
        end, first = min(length, start + tile), max(0, start - overlap)
        kept = slice((start - first) * scale, (end - first) * scale)
        seen, place = slice(first, min(length, end + overlap)), slice(start * scale, end * scale)
        tiles.append(Tile(seen, kept, place))
    return tiles
