"""Short names of scorers."""

from collections.abc import Mapping
from typing import Any

from iqasr.quality.pyiqa_scorer import import_pyiqa
from iqasr.registry import SCORER_REGISTRY, names_in, nearest

SHORT_NAMES = {'NIMAScorer': 'nima-mobilenet'}
"""Of classes that are not called by their own name: ``nima`` is pyiqa's, of another network."""

VARIANTS = {
    'lpips-vgg': {'type': 'LPIPSScorer', 'net': 'vgg'},
    'stlpips-vgg': {'type': 'STLPIPSScorer', 'net': 'vgg'},
}
"""Sections of classes with options that have a name of their own, as in pyiqa."""


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
    word, classes = name.lower(), names_in(SCORER_REGISTRY)
    shorts = {SHORT_NAMES.get(cls, cls.lower().removesuffix('scorer')): cls for cls in classes}
    known = {short: {'type': cls} for short, cls in shorts.items()} | VARIANTS
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
