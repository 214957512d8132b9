"""Metrics: what is reported at validation, with its published direction.

This is the one border to BasicSR's world of images: ``(H, W, 3)`` uint8 BGR in [0, 255].
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from iqasr.quality import QualityScorer
from iqasr.registry import METRIC_REGISTRY, SCORER_REGISTRY, build, lookup

LOWER_IS_BETTER = ('calculate_niqe', 'calculate_fid')


@dataclass(frozen=True)
class Metric:
    """A number for a restored image.

    Args:
        name: As in the option file.
        function: From images to the number.
        better: ``higher`` or ``lower``.
        needs_gt: Whether `function` compares with a ground truth.
    """

    name: str
    function: Callable[..., float]
    better: Literal['higher', 'lower']
    needs_gt: bool

    @property
    def arrow(self) -> str:
        """An arrow in the direction of better values."""
        return '↑' if self.better == 'higher' else '↓'

    def __call__(self, output: np.ndarray, gt: np.ndarray | None) -> float:
        """Evaluate.

        Args:
            output: Restored image, ``(H, W, 3)`` uint8 BGR in [0, 255].
            gt: Ground truth alike; None if there is none.

        Returns:
            The number; NaN if the metric needs a ground truth and there is none.
        """
        if not self.needs_gt:
            return float(self.function(output))
        return float('nan') if gt is None else float(self.function(output, gt))

    def is_better(self, value: float, than: float) -> bool:
        """Compare two values in the direction of the metric."""
        return value > than if self.better == 'higher' else value < than


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
    def better(self) -> Literal['higher', 'lower']:
        """Direction of the published value."""
        return 'lower' if self.scorer.lower_better else 'higher'

    def tensor(self, image: np.ndarray) -> torch.Tensor:
        """Turn an image into what scorers take."""
        border = self.crop_border
        inner = image[border : image.shape[0] - border, border : image.shape[1] - border, ::-1]
        tensor = torch.from_numpy(np.ascontiguousarray(inner.transpose(2, 0, 1)))
        return tensor[None].to(self.device).float().div(255)

    @torch.no_grad()
    def __call__(self, img: np.ndarray, img2: np.ndarray | None = None) -> float:
        """Score an image, against a reference if the scorer needs one."""
        reference = self.tensor(img2) if self.scorer.needs_reference else None
        return float(self.scorer.published(self.scorer(self.tensor(img), reference)))


def build_metric(name: str, options: Mapping[str, Any]) -> Metric:
    """Build a metric from its section ``val.metrics.<name>``.

    Args:
        name: Any name.
        options: ``type`` (a function of BasicSR's metric registry, or `QualityMetric`), its
            arguments, and ``better`` to override the direction.
    """
    target = lookup(METRIC_REGISTRY, options['type'])
    arguments = {key: v for key, v in options.items() if key not in ('type', 'better')}
    if inspect.isclass(target):
        function = target(**arguments)
        better = function.better
        needs_gt = function.scorer.needs_reference
    else:
        needs_gt = 'img2' in inspect.signature(target).parameters
        better = 'lower' if options['type'] in LOWER_IS_BETTER else 'higher'

        def function(*images: np.ndarray) -> float:
            return target(*images, **arguments)

    return Metric(name, function, options.get('better') or better, needs_gt)
