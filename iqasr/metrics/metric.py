"""Metrics: what is reported at validation, with its published direction.

This is the one border to BasicSR's world of images: ``(H, W, 3)`` uint8 BGR in [0, 255].
"""

import functools
import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from iqasr.registry import METRIC_REGISTRY, lookup

logger = logging.getLogger('iqasr')

IMAGES = ('img', 'img2', 'lq', 'base')
"""The images a metric may look at, as its function names them: the output, the ground truth, the
low-quality input, and the output of the network as it was before the run."""


def register_metric(
    *,
    lower_better: bool | Callable[..., bool] | None,
    needs: tuple[str, ...] | Callable[..., tuple[str, ...]] | None = None,
    suffix: str | None = None,
) -> Callable[[Callable[..., float]], Callable[..., float]]:
    """Register a function as a metric.

    BasicSR calls it with ``img``, ``img2`` and all options of its section. Among these may be
    ``better``, which concerns the report and is not passed on.

    Args:
        lower_better: Whether lower values are better; None if neither direction is. Where that
            depends on the options of the section, a function of these.
        needs: Images that are passed beside those without default; a function as above. If left
            out, images with a default are passed where they are there.
        suffix: ``iqasr`` to take the place of BasicSR's metric of the same name.

    Returns:
        A decorator, which sets `lower_better` and `needs` as attributes.
    """

    def register(function: Callable[..., float]) -> Callable[..., float]:
        @functools.wraps(function)
        def metric(*images: Any, better: str | None = None, **others: Any) -> float:
            return function(*images, **others)

        metric.lower_better, metric.needs = lower_better, needs
        METRIC_REGISTRY.register(metric, suffix)
        return metric

    return register


@dataclass(frozen=True)
class Metric:
    """A number for a restored image.

    Args:
        name: As in the option file.
        function: From images, by the names in `IMAGES`, to the number.
        lower_better: Whether lower values are better; None if neither direction is.
        needs: Names of the images without which there is no value.
        optional: Names of further images, passed where they are there.
    """

    name: str
    function: Callable[..., float]
    lower_better: bool | None
    needs: tuple[str, ...] = ('img',)
    optional: tuple[str, ...] = ()

    @property
    def better(self) -> Literal['higher', 'lower'] | None:
        """The direction in the words of BasicSR's option files."""
        return {True: 'lower', False: 'higher', None: None}[self.lower_better]

    @property
    def arrow(self) -> str:
        """An arrow in the direction of better values."""
        return {True: '↓', False: '↑', None: ''}[self.lower_better]

    def __call__(self, images: Mapping[str, Any]) -> float:
        """Evaluate.

        Args:
            images: By the names in `IMAGES`, ``(H, W, 3)`` uint8 BGR in [0, 255]; instead of
                ``img2`` there may be a list of ground truths, over which the number is averaged.

        Returns:
            The number; NaN if a needed image is not there.
        """
        named = {name: images.get(name) for name in (*self.needs, *self.optional)}
        given = {name: image for name, image in named.items() if image is not None and len(image)}
        if not given.keys() >= set(self.needs):
            return float('nan')
        references = given.get('img2')
        if isinstance(references, list):
            return float(np.mean([self.function(**given | {'img2': one}) for one in references]))
        return float(self.function(**given))

    def is_better(self, value: float, than: float) -> bool:
        """Compare two values in the direction of the metric."""
        return value < than if self.lower_better else value > than


def without_border(image: np.ndarray, border: int) -> np.ndarray:
    """Cut `border` pixels off each side."""
    return image[border : image.shape[0] - border, border : image.shape[1] - border]


def build_metric(name: str, section: Mapping[str, Any]) -> Metric:
    """Build a metric from its section ``val.metrics.<name>``.

    Args:
        name: Any name.
        section: ``type``, a function of the metric registry; its options; and ``better``,
            ``higher`` or ``lower``, to override the direction.
    """
    function = lookup(METRIC_REGISTRY, section['type'])
    options = options_of(section)
    if section.get('better'):
        lower_better = section['better'] == 'lower'
    elif hasattr(function, 'lower_better'):
        lower_better = resolve(function.lower_better, options)
    else:
        lower_better = None
        logger.warning(
            'val.metrics.%s: %s does not say which direction is better, so there is no best value. '
            'Give `better: higher` or `better: lower` in its section, or set `lower_better` on the '
            'function.',
            name,
            section['type'],
        )
    needs, optional = images_of(function, options)
    return Metric(name, functools.partial(function, **options), lower_better, needs, optional)


def needs_base(section: Mapping[str, Any]) -> bool:
    """Tell whether a section asks for a metric that compares with the network before the run."""
    function = function_of(section)
    if function is None or 'base' not in inspect.signature(function).parameters:
        return False
    return 'base' in images_of(function, options_of(section))[0]


def has_no_direction(section: Mapping[str, Any]) -> bool:
    """Tell whether neither the section nor its metric says which direction is better."""
    function = function_of(section)
    if function is None or section.get('better'):
        return False
    return getattr(function, 'lower_better', None) is None


def function_of(section: Mapping[str, Any]) -> Callable[..., float] | None:
    """Find the function of a section; None if there is no metric of that name."""
    try:
        return lookup(METRIC_REGISTRY, section.get('type'))
    except ValueError:
        return None


def options_of(section: Mapping[str, Any]) -> dict[str, Any]:
    """Take from a section the options that are passed to its function."""
    return {key: value for key, value in section.items() if key not in ('type', 'better')}


def images_of(
    function: Callable[..., float], options: Mapping[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """List the images that a metric needs, and those it takes where they are there."""
    parameters = inspect.signature(function).parameters
    named = [name for name in IMAGES if name in parameters]
    stated = getattr(function, 'needs', None)
    extra = resolve(stated, options) or ()
    needs = [n for n in named if parameters[n].default is inspect.Parameter.empty or n in extra]
    optional = [name for name in named if name not in needs] if stated is None else []
    return tuple(needs), tuple(optional)


def resolve(attribute: Any, options: Mapping[str, Any]) -> Any:
    """Ask an attribute of a metric that depends on the options for its value."""
    return attribute(**options) if callable(attribute) else attribute
