"""Scorers as metrics: of a whole image, or of its worst tile."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from iqasr.metrics.metric import Direction, without_border
from iqasr.quality import QualityScorer
from iqasr.registry import METRIC_REGISTRY, SCORER_REGISTRY, build


@METRIC_REGISTRY.register()
class QualityMetric:
    """Any scorer as a metric, in its published units and direction.

    Args:
        scorer: Section of the scorer.
        device: Where it works.
        crop_border: Pixels left out at each side.
    """

    def __init__(self, scorer: dict[str, Any], device: str = 'cpu', crop_border: int = 0) -> None:
        self.scorer: QualityScorer = build(SCORER_REGISTRY, scorer).to(device)
        self.device = device
        self.crop_border = crop_border

    @property
    def better(self) -> Direction:
        """Direction of the published value."""
        return 'lower' if self.scorer.lower_better else 'higher'

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the images it is called with."""
        return ('img', 'img2') if self.scorer.needs_reference else ('img',)

    def tensor(self, image: np.ndarray) -> Tensor:
        """Turn an image into what scorers take."""
        inner = without_border(image, self.crop_border)[..., ::-1]
        tensor = torch.from_numpy(np.ascontiguousarray(inner.transpose(2, 0, 1)))
        return tensor[None].to(self.device).float().div(255)

    @torch.no_grad()
    def __call__(self, img: np.ndarray, img2: np.ndarray | None = None) -> float:
        """Score an image, against a reference if the scorer needs one."""
        reference = self.tensor(img2) if self.scorer.needs_reference else None
        return float(self.scorer.published(self.quality(self.tensor(img), reference)))

    def quality(self, image: Tensor, reference: Tensor | None) -> Tensor:
        """Compute the quality, one number, of an image, :math:`(1, 3, H, W)` RGB in [0, 1]."""
        return self.scorer(image, reference)


@METRIC_REGISTRY.register()
class WorstTile(QualityMetric):
    """The quality of the worst tile of an image, in published units: a local artifact shows here.

    Square tiles at even distances cover the image; they overlap where the sides are no multiples
    of the tile. Tiles without a quality (flat sky, for NIQE) are passed over.

    Args:
        scorer: Section of the scorer.
        tile_px: Side of a tile in pixels; of a smaller image, all of the side.
        device: Where it works.
        crop_border: Pixels left out at each side.

    Raises:
        ValueError: If the scorer cannot work on tiles so small.
    """

    def __init__(
        self, scorer: dict[str, Any], tile_px: int, device: str = 'cpu', crop_border: int = 0
    ) -> None:
        super().__init__(scorer, device, crop_border)
        if tile_px < self.scorer.min_size:
            raise ValueError(
                f'WorstTile: tile_px {tile_px} is too small for {self.scorer.name}, which needs '
                f'{self.scorer.min_size}.'
            )
        self.tile_px = tile_px

    def quality(self, image: Tensor, reference: Tensor | None) -> Tensor:
        """Compute the quality of the worst tile; see `QualityMetric.quality`."""
        rows, columns = (tiles_along(side, self.tile_px) for side in image.shape[2:])
        places = [(..., row, column) for row in rows for column in columns]
        quality = torch.cat(
            [
                self.scorer(image[place], None if reference is None else reference[place])
                for place in places
            ]
        )
        found = quality[quality.isfinite()]
        return found.amin() if len(found) else quality[0]


def tiles_along(length: int, tile: int) -> list[slice]:
    """Cover a length by the fewest tiles, at even distances.

    Example:
        >>> tiles_along(10, 4)
        [slice(0, 4, None), slice(3, 7, None), slice(6, 10, None)]
        >>> tiles_along(3, 4)
        [slice(0, 3, None)]
    """
    tile = min(tile, length)
    starts = np.linspace(0, length - tile, math.ceil(length / tile)).round().astype(int)
    return [slice(int(start), int(start) + tile) for start in starts]
