"""Metrics: what is reported at validation, with its published direction.

This is the one border to BasicSR's world of images: ``(H, W, 3)`` uint8 BGR in [0, 255].
"""

import functools
import inspect
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from iqasr.quality import QualityScorer
from iqasr.registry import METRIC_REGISTRY, SCORER_REGISTRY, build, lookup

logger = logging.getLogger('iqasr')

IMAGES = {
    'img': 'the output',
    'img2': 'the ground truth',
    'lq': 'the low-quality input',
    'base': 'the output of the network before the run',
}
"""The images a metric may look at, as its function names them."""


def register_metric(
    *, lower_better: bool | Literal['scorer'] | None, suffix: str | None = None
) -> Callable[[Callable[..., float]], Callable[..., float]]:
    """Register a function as a metric.

    BasicSR calls it with ``img``, ``img2`` and all options of its section. The function names the
    `IMAGES` it looks at, first of its arguments, and gets no other; ``better``, which concerns the
    report, is not passed on either.

    Args:
        lower_better: Whether lower values are better; None if neither direction is; ``scorer`` if
            the option `scorer` decides, and with it whether the ground truth is looked at.
        suffix: ``iqasr`` to take the place of BasicSR's metric of the same name.

    Returns:
        A decorator, which sets `lower_better` as an attribute.
    """

    def register(function: Callable[..., float]) -> Callable[..., float]:
        needed, optional = images_of(function)

        @functools.wraps(function)
        def metric(*images: Any, better: str | None = None, **others: Any) -> float:
            for name in needed[len(images) :]:
                if name not in others:
                    raise ValueError(
                        f'{function.__name__} needs `{name}`, {IMAGES[name]}, which '
                        'RestorationModel gives it; remove it from val.metrics to validate '
                        'another model.'
                    )
            unseen = IMAGES.keys() - {*needed, *optional}
            return function(*images, **{k: v for k, v in others.items() if k not in unseen})

        metric.lower_better = lower_better
        METRIC_REGISTRY.register(metric, suffix)
        return metric

    return register


def load_scorer(
    scorer: Mapping[str, Any], device: str = 'cpu', tile_px: int | None = None, **_: Any
) -> QualityScorer:
    """Build a scorer from its section, once for each section and device.

    Args:
        scorer: Section of the scorer.
        device: Where it works.
        tile_px: Side of the tiles it is to score, if any, in pixels.

    Raises:
        ValueError: If there is no such scorer, or it cannot work on tiles so small.
    """
    cls = lookup(SCORER_REGISTRY, scorer.get('type'))
    # A range, which serves losses and ensembles, leaves the published score as it is.
    section = {key: value for key, value in scorer.items() if key != 'range'}
    loaded = _build_scorer(cls, json.dumps(section, sort_keys=True), device)
    if tile_px is not None and tile_px < loaded.min_size:
        raise ValueError(
            f'tile_px {tile_px} is too small for {loaded.name}, which needs {loaded.min_size}.'
        )
    return loaded


@functools.cache
def _build_scorer(cls: type, section: str, device: str) -> QualityScorer:
    # The class is part of the key, as another may be registered under the same name.
    return build(SCORER_REGISTRY, json.loads(section)).to(device)


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
    """Cut `border` pixels off each side of an image, ``(H, W)`` or ``(H, W, C)``.

    Raises:
        ValueError: If nothing remains.
    """
    height, width = image.shape[:2]
    if min(height, width) <= 2 * border:
        raise ValueError(
            f'crop_border {border} leaves nothing of an image of {height}x{width} pixels; make it '
            'smaller, or test larger images.'
        )
    return image[border : height - border, border : width - border]


def build_metric(name: str, section: Mapping[str, Any]) -> Metric:
    """Build a metric from its section ``val.metrics.<name>``.

    Args:
        name: Any name.
        section: ``type``, a function of the metric registry; its options; and ``better``,
            ``higher`` or ``lower``, to override the direction.
    """
    function = lookup(METRIC_REGISTRY, section['type'])
    options = {key: value for key, value in section.items() if key not in ('type', 'better')}
    needs, optional = images_of(function)
    lower_better = getattr(function, 'lower_better', None)
    if lower_better == 'scorer':
        scorer = load_scorer(**options)
        lower_better = scorer.lower_better
        needs, optional = (needs + optional if scorer.needs_reference else needs), ()
    if section.get('better'):
        lower_better = section['better'] == 'lower'
    elif not hasattr(function, 'lower_better'):
        logger.warning(
            'val.metrics.%s: %s does not say which direction is better, so there is no best value. '
            'Give `better: higher` or `better: lower` in its section, or set `lower_better` on the '
            'function.',
            name,
            section['type'],
        )
    return Metric(name, functools.partial(function, **options), lower_better, needs, optional)


def needs_base(section: Mapping[str, Any]) -> bool:
    """Tell whether a section asks for a metric that compares with the network before the run."""
    function = find_metric(section)
    return function is not None and 'base' in images_of(function)[0]


def has_no_direction(section: Mapping[str, Any]) -> bool:
    """Tell whether neither the section nor its metric says which direction is better."""
    function = find_metric(section)
    given = section.get('better') or function is None
    return not given and getattr(function, 'lower_better', None) is None


def find_metric(section: Mapping[str, Any]) -> Callable[..., float] | None:
    """Find the function of a section; None if there is no metric of that name."""
    try:
        return lookup(METRIC_REGISTRY, section.get('type'))
    except ValueError:
        return None


def images_of(function: Callable[..., float]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """List the images that a function needs, and those it takes where they are there."""
    parameters = inspect.signature(function).parameters
    named = [name for name in IMAGES if name in parameters]
    needs = tuple(name for name in named if parameters[name].default is inspect.Parameter.empty)
    return needs, tuple(name for name in named if name not in needs)
