"""Short names of scorers, and what is known of a scorer by its name."""

import inspect
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from iqasr.quality.pyiqa_scorer import has_gradient, import_pyiqa
from iqasr.registry import SCORER_REGISTRY, names_in, nearest

SHORT_NAMES = {'NIMAScorer': 'nima-mobilenet'}
"""Of classes that are not called by their own name: ``nima`` is pyiqa's, of another network."""

VARIANTS = {
    'lpips-vgg': {'type': 'LPIPSScorer', 'net': 'vgg'},
    'stlpips-vgg': {'type': 'STLPIPSScorer', 'net': 'vgg'},
}
"""Sections of classes with options that have a name of their own, as in pyiqa."""


class ScorerTraits(NamedTuple):
    """What is known of a scorer without building it."""

    section: dict[str, Any]
    """Section that builds it."""
    lower_better: bool
    """Direction of its published score."""
    needs_reference: bool
    differentiable: bool


def scorer_section(name: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Write the section of an option file for a scorer with a short name.

    Args:
        name: ``niqe`` for `NIQEScorer`, and so on for every registered class but `SHORT_NAMES`; one
            of `VARIANTS`; or else the name of a metric of pyiqa.
        options: Arguments of the registered class; or else those of the metric in pyiqa, and
            ``weights``, its weight file.

    Raises:
        ValueError: If there is no scorer of that name; the message suggests the nearest.
        ImportError: If no registered class has that name and pyiqa is not installed.
    """
    own = dict(options or {})
    word, classes, known = name.lower(), names_in(SCORER_REGISTRY), own_sections()
    spelled_out = {cls.lower(): {'type': cls} for cls in classes}
    if word in spelled_out | known:
        return (spelled_out | known)[word] | own
    metrics = import_pyiqa().list_models()
    if name not in metrics:
        raise ValueError(
            f"no scorer is called '{name}'.{nearest(name, [*known, *metrics])} There are: "
            f'{", ".join(sorted(known))}, and those of `pyiqa.list_models()`.'
        )
    weights = {'weights': own.pop('weights')} if 'weights' in own else {}
    return {'type': 'PyIQAScorer', 'metric': name, **weights, **({'options': own} if own else {})}


def own_sections() -> dict[str, dict[str, Any]]:
    """List the sections of the registered classes, by short name, and the `VARIANTS`."""
    classes = names_in(SCORER_REGISTRY)
    shorts = {SHORT_NAMES.get(cls, cls.lower().removesuffix('scorer')): cls for cls in classes}
    return {short: {'type': cls} for short, cls in shorts.items()} | VARIANTS


def find_traits(name: str) -> ScorerTraits | None:
    """Find a scorer by its name as people write it: ``Q-Align`` or ``qalign``.

    Returns:
        Its traits; None if no scorer is known by that name, or pyiqa, to which it would belong, is
        not installed.
    """
    word = plain_name(name)
    for short, section in own_sections().items():
        cls = names_in(SCORER_REGISTRY)[section['type']]
        if plain_name(short) == word and can_be_built_from(cls, section):
            return ScorerTraits(section, cls.lower_better, cls.needs_reference, cls.differentiable)
    try:
        import_pyiqa()
    except ImportError:
        return None
    from pyiqa.default_model_configs import DEFAULT_CONFIGS

    for metric, about in DEFAULT_CONFIGS.items():
        if plain_name(metric) == word:
            section = {'type': 'PyIQAScorer', 'metric': metric}
            directions = about.get('lower_better', False), about['metric_mode'] == 'FR'
            return ScorerTraits(section, *directions, has_gradient(metric))
    return None


def plain_name(name: str) -> str:
    """Reduce a name to small letters, digits and ``+``, which tells metrics of pyiqa apart."""
    return re.sub(r'[^a-z0-9+]', '', name.lower())


def can_be_built_from(cls: type, section: Mapping[str, Any]) -> bool:
    """Tell whether a section has all that the constructor of its class needs."""
    _, *arguments = inspect.signature(cls.__init__).parameters.values()  # without self
    return all(of.default is not of.empty or of.name in section for of in arguments)
