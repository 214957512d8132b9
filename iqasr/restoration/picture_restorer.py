"""Restoring one picture of any kind, band by band."""

import contextlib
import logging
import sys
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from iqasr.data.files.pictures import Picture
from iqasr.models.restorer import restore_whole
from iqasr.models.tiling import Tile, restore_tiled, tiles_along
from iqasr.restoration.tile_sizes import (
    LARGEST_TILE_PX,
    STEP_PX,
    choose_tile,
    find_overlap,
    free_memory,
    measure_bytes_per_pixel,
)

logger = logging.getLogger('iqasr')

BANDS_IN_MEMORY = 3
"""One that is written, one that waits, one that is being restored."""

Band = Callable[[], np.ndarray]
"""Restores some rows: ``(h, sW, C)``, alpha last."""


class Division(NamedTuple):
    """How a picture is divided into tiles: their side, and what they see beyond it, in pixels."""

    tile_px: int
    overlap_px: int


class PictureRestorer:
    """Restores pictures with a network.

    Grey pictures become grey: all three channels get the same, and the mean of the output counts.
    Alpha is restored apart, likewise, and stays between the least and the greatest of the 3 x 3
    pixels around; colours beneath what is fully transparent are those of the nearest that is not.

    Args:
        network: In evaluation mode.
        scale: How many times it enlarges.
        device: Where it runs.
        memory_bytes: How much may be used: by this process, or on the GPU; None for a share of
            what is free.
        half: Compute in half precision, but for pictures of 16 bits.
        tile_px: Side of the tiles; None to choose by the memory.
        tile_overlap_px: Pixels seen beyond each side of a tile; None to find how far the network
            sees.
        self_ensemble: Take the mean over eight orientations of the input.
        outscale: How many times the final picture is larger than the input; None for `scale`.
    """

    def __init__(
        self,
        network: nn.Module,
        scale: int,
        device: torch.device,
        *,
        memory_bytes: float | None = None,
        half: bool = False,
        tile_px: int | None = None,
        tile_overlap_px: int | None = None,
        self_ensemble: bool = False,
        outscale: float | None = None,
    ) -> None:
        self.outscale = scale if outscale is None else outscale
        self.network, self.scale, self.device = network.to(device), scale, device
        self.half, self.self_ensemble = half, self_ensemble
        self.tile_px, self.tile_overlap_px = tile_px, tile_overlap_px
        if memory_bytes is None:
            self.budget_bytes = free_memory(device)
        else:
            self.budget_bytes = memory_bytes - (peak_memory() if device.type == 'cpu' else 0)

    @cached_property
    def bytes_per_pixel(self) -> float:
        """Memory that the network needs, for each pixel of its input."""
        return measure_bytes_per_pixel(self.restore_tile, self.device)

    @cached_property
    def overlap_px(self) -> int:
        """How far tiles see beyond each side: what is given, or as far as the network sees."""
        if self.tile_overlap_px is not None:
            return self.tile_overlap_px
        overlap = find_overlap(self.restore_tile, self.scale, self.device)
        logger.info('Tiles see %s px beyond each side.', overlap)
        if self.tile_px is not None and overlap > self.tile_px:
            logger.warning('That is more than the tiles have (%s px): larger ones are faster '
                           '(--tile_px).', self.tile_px)  # fmt: skip
        return overlap

    def division(self, picture: Picture) -> Division:
        """Choose the tiles for a picture: one, where it fits into the memory."""
        height, width = picture.pixels.shape[:2]
        shape, most = picture.enlarged(self.scale), LARGEST_TILE_PX[self.device.type]
        on_cpu = self.device.type == 'cpu'
        budget_bytes = self.budget_bytes - on_cpu * picture.pixels.nbytes
        whole = self.bytes_per_pixel * height * width + on_cpu * shape.nbytes
        if self.tile_px is None and height * width <= most**2 and whole <= budget_bytes:
            return Division(max(height, width), 0)
        overlap, resized = self.overlap_px, self.outscale != self.scale  # resizing holds one more

        def cost(side: int) -> float:
            seen = min(height, side + 2 * overlap) * min(width, side + 2 * overlap)
            band = shape.nbytes / height * min(height, side)
            return self.bytes_per_pixel * seen + on_cpu * (BANDS_IN_MEMORY + resized) * band

        return Division(self.tile_px or choose_tile(cost, budget_bytes, most), overlap)

    def bands(self, picture: Picture) -> list[Band]:
        """Divide the work on a picture; each part gives some rows, from top to bottom."""
        tile_px, overlap_px = self.division(picture)
        height, width = picture.pixels.shape[:2]
        rows, columns = (tiles_along(s, tile_px, overlap_px, self.scale) for s in (height, width))
        return [self.band(picture, y, columns) for y in rows]

    def band(self, picture: Picture, y: Tile, columns: list[Tile]) -> Band:
        """Make the part of the work that gives the rows of some tiles."""
        if picture.alpha is None:
            return lambda: self.restore_row(picture.pixels, y, columns)

        def restore_both() -> np.ndarray:
            colours = self.restore_row(picture.pixels, y, columns)
            alpha = self.restore_row(picture.alpha, y, columns)
            rows = slice(y.place.start // self.scale, y.place.stop // self.scale)
            least, greatest = bounds_around(picture.alpha, rows, self.scale)
            return np.concatenate([colours, alpha.clip(least, greatest)], -1)

        return restore_both

    def restore_row(self, pixels: np.ndarray, y: Tile, columns: list[Tile]) -> np.ndarray:
        """Restore a row of tiles of ``(H, W, C)`` uint8 or uint16."""
        strip, most = pixels[y.seen], np.iinfo(pixels.dtype).max
        height = y.place.stop - y.place.start
        output = np.empty((height, columns[-1].place.stop, pixels.shape[-1]), pixels.dtype)
        for x in columns:
            seen = np.ascontiguousarray(strip[:, x.seen].transpose(2, 0, 1), np.float32)
            lq = torch.from_numpy(seen).to(self.device).div_(most).expand(3, -1, -1)[None]
            restored = self.restore_tile(lq, half=self.half and most == 255)[0]
            kept = restored[:, y.kept, x.kept].float().clamp(0, 1)
            if pixels.shape[-1] == 1:
                kept = kept.mean(0, keepdim=True)
            levels = kept.mul(most).round_().permute(1, 2, 0).cpu().numpy()
            output[:, x.place] = levels.astype(pixels.dtype)
        return output

    @torch.no_grad()
    def restore_tile(self, lq: Tensor, *, half: bool = False) -> Tensor:
        """Restore :math:`(1, 3, H, W)` RGB in [0, 1]; in parts where the memory does not suffice.

        What half precision cannot hold is computed once more in single precision.
        """
        precision = torch.autocast(self.device.type, torch.float16) if half else None
        try:
            with precision or contextlib.nullcontext():
                output = restore_whole(
                    self.network, lq, self.scale, self_ensemble=self.self_ensemble
                )
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            side = max(lq.shape[-2:]) // 2 // STEP_PX * STEP_PX
            if not side:
                raise
            logger.warning('The memory of the GPU does not suffice: tiles of %s px.', side)
            return restore_tiled(
                lambda tile: self.restore_tile(tile, half=half),
                lq,
                scale=self.scale,
                tile_px=side,
                overlap_px=self.overlap_px,
            )
        if half and not output.isfinite().all():
            logger.warning('Half precision does not suffice for this network: it is given up.')
            self.half = False
            return self.restore_tile(lq)
        return output


def peak_memory() -> int:
    """Find the most memory that this process has used so far, in bytes."""
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == 'darwin' else 1024 * peak


def bounds_around(alpha: np.ndarray, rows: slice, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the least and greatest of the 3 x 3 pixels around each, enlarged by repetition.

    Args:
        alpha: ``(H, W, 1)``.
        rows: Which rows are asked for.
        scale: How many times they are enlarged.

    Returns:
        Two arrays, ``(sh, sW, 1)``.
    """
    first = max(0, rows.start - 1)
    around, square = alpha[first : rows.stop + 1], np.ones((3, 3), np.uint8)
    inside = slice(rows.start - first, rows.stop - first)
    found = [change(around, square)[inside] for change in (cv2.erode, cv2.dilate)]
    least, greatest = (f.repeat(scale, 0).repeat(scale, 1)[..., None] for f in found)
    return least, greatest


def fill_transparent(picture: Picture) -> None:
    """Give what is fully transparent the colour of the nearest pixel that is not, in place.

    Otherwise the colours that lie there, often black, would show at the edges.
    """
    if picture.alpha is None:
        return
    hidden = picture.alpha[..., 0] == 0
    if hidden.all() or not hidden.any():
        return
    _, nearest = cv2.distanceTransformWithLabels(
        hidden.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((int(nearest.max()) + 1, picture.pixels.shape[-1]), picture.pixels.dtype)
    colours[nearest[~hidden]] = picture.pixels[~hidden]
    picture.pixels[hidden] = colours[nearest[hidden]]
