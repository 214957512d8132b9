"""Scorers as metrics: of a whole image, or of its worst tile."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from iqasr.metrics.metric import load_scorer, register_metric, without_border
from iqasr.quality import QualityScorer
from iqasr.registry import METRIC_REGISTRY
from iqasr.runtime.crops import tiles_along


@register_metric(lower_better='scorer')
def calculate_quality(
    img: np.ndarray,
    img2: np.ndarray | None = None,
    *,
    scorer: dict[str, Any],
    device: str = 'cpu',
    crop_border: int = 0,
) -> float:
    """Any scorer as a metric, in its published units and direction.

    Args:
        img: Output, ``(H, W, 3)`` uint8 BGR in [0, 255].
        img2: Ground truth, as `img`; for a full-reference scorer.
        scorer: Section of the scorer.
        device: Where it works.
        crop_border: Pixels left out at each side.

    Raises:
        ValueError: If the scorer needs a ground truth or a larger image.
    """
    loaded = load_scorer(scorer, device)
    with torch.no_grad():
        quality = loaded(*images_for(loaded, img, img2, device, crop_border))
    return float(loaded.published(quality))


@register_metric(lower_better='scorer')
def calculate_worst_tile(
    img: np.ndarray,
    img2: np.ndarray | None = None,
    *,
    scorer: dict[str, Any],
    tile_px: int,
    device: str = 'cpu',
    crop_border: int = 0,
) -> float:
    """Quality of the worst tile of an image, in published units; it shows local artifacts.

    Square tiles at even distances cover the image; they overlap where the sides are no multiples
    of the tile. Tiles without a quality (flat sky, for NIQE) are passed over.

    Args:
        img: Output, ``(H, W, 3)`` uint8 BGR in [0, 255].
        img2: Ground truth, as `img`; for a full-reference scorer.
        scorer: Section of the scorer.
        tile_px: Side of a tile in pixels; where the image is smaller, the side of the image.
        device: Where the scorer works.
        crop_border: Pixels left out at each side.

    Raises:
        ValueError: If the scorer needs a ground truth, or cannot work on tiles so small.
    """
    loaded = load_scorer(scorer, device, tile_px)
    images = images_for(loaded, img, img2, device, crop_border)
    rows, columns = (tiles_along(side, tile_px) for side in images[0].shape[2:])
    with torch.no_grad():
        quality = torch.cat(
            [loaded(*(i[..., row, column] for i in images)) for row in rows for column in columns]
        )
    finite = quality[quality.isfinite()]
    return float(loaded.published(finite.amin() if len(finite) else quality[0]))


# The names of option files of version 0.1, for which these were classes.
METRIC_REGISTRY._do_register('QualityMetric', calculate_quality)
METRIC_REGISTRY._do_register('WorstTile', calculate_worst_tile)


def images_for(
    scorer: QualityScorer, img: np.ndarray, img2: np.ndarray | None, device: str, border: int
) -> list[Tensor]:
    """Turn what a scorer looks at of output and ground truth, as far as given, into tensors.

    Returns:
        :math:`(1, 3, H, W)` RGB in [0, 1] each.
    """
    seen = [img, img2] if scorer.needs_reference and img2 is not None else [img]
    planes = [without_border(image, border)[..., ::-1].transpose(2, 0, 1) for image in seen]
    return [
        torch.from_numpy(np.ascontiguousarray(plane))[None].to(device).float().div(255)
        for plane in planes
    ]
