"""Metrics: what is reported at validation, with its published direction.

This is the one border to BasicSR's world of images: ``(H, W, 3)`` uint8 BGR in [0, 255].
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from iqasr.registry import METRIC_REGISTRY, lookup

IMAGES = ('img', 'img2', 'lq', 'base')
"""What a metric may look at, by the names its function uses: the output, the ground truth, the
low-quality input, and what the network made of that before the run."""

Direction = Literal['higher', 'lower'] | None

DIRECTIONS: dict[str, Direction] = {
    'calculate_niqe': 'lower',
    'calculate_fid': 'lower',
    'calculate_base_distance': 'lower',
    'calculate_high_frequency': None,
}
"""Directions of functions; others are better when higher."""


@dataclass(frozen=True)
class Metric:
    """A number for a restored image.

    Args:
        name: As in the option file.
        function: From images, by the names in `IMAGES`, to the number.
        better: ``higher`` or ``lower``; None if neither is.
        needs: Names of the images that `function` takes.
    """

    name: str
    function: Callable[..., float]
    better: Direction
    needs: tuple[str, ...] = ('img',)

    @property
    def arrow(self) -> str:
        """An arrow in the direction of better values."""
        return {'higher': '↑', 'lower': '↓', None: ''}[self.better]

    def __call__(self, images: Mapping[str, Any]) -> float:
        """Evaluate.

        Args:
            images: By the names in `IMAGES`, ``(H, W, 3)`` uint8 BGR in [0, 255]; instead of
                ``img2`` there may be a list of ground truths, over which the number is averaged.

        Returns:
            The number; NaN if the metric needs an image that is not there.
        """
        given = {name: images.get(name) for name in self.needs}
        references = given.get('img2')
        if isinstance(references, list):
            values = [self.function(**given | {'img2': one}) for one in references]
            return float(np.mean(values)) if values else float('nan')
        if any(image is None for image in given.values()):
            return float('nan')
        return float(self.function(**given))

    def is_better(self, value: float, than: float) -> bool:
        """Compare two values in the direction of the metric."""
        return value > than if self.better == 'higher' else value < than


def without_border(image: np.ndarray, border: int) -> np.ndarray:
    """Leave out so many pixels at each side."""
    return image[border : image.shape[0] - border, border : image.shape[1] - border]


def images_taken_by(target: Callable[..., Any]) -> tuple[str, ...]:
    """List the images that a function names among its arguments."""
    return tuple(name for name in inspect.signature(target).parameters if name in IMAGES)


def needs_base(options: Mapping[str, Any]) -> bool:
    """Tell whether a section asks for a metric that compares with the network before the run."""
    asked = [target for name, target in METRIC_REGISTRY if name == options.get('type')]
    return any('base' in images_taken_by(target) for target in asked)


def direction_of(options: Mapping[str, Any]) -> Direction:
    """Find the direction of a section's function; that of a class is its object's own."""
    return options.get('better') or DIRECTIONS.get(options.get('type'), 'higher')


def build_metric(name: str, options: Mapping[str, Any]) -> Metric:
    """Build a metric from its section ``val.metrics.<name>``.

    Args:
        name: Any name.
        options: ``type`` (a function of the metric registry, or a class such as `QualityMetric`),
            its arguments, and ``better`` to override the direction.
    """
    target = lookup(METRIC_REGISTRY, options['type'])
    arguments = {key: v for key, v in options.items() if key not in ('type', 'better')}
    if inspect.isclass(target):
        metric = target(**arguments)
        return Metric(name, metric, options.get('better') or metric.better, metric.needs)

    def function(**images: np.ndarray) -> float:
        return target(**images, **arguments)

    return Metric(name, function, direction_of(options), images_taken_by(target))
