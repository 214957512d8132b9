"""Check a section of an option file against what it builds; findings go to `problems`."""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from iqasr.archs.spandrel_networks import code_arguments, network_class
from iqasr.options.schema import Problems, check_section
from iqasr.pretrained import named_entry
from iqasr.registry import ARCH_REGISTRY, SCORER_REGISTRY, Registry, build, lookup
from iqasr.runtime.errors import MissingWeightsError
from iqasr.runtime.paths import resolve


def find_class(
    problems: Problems, path: str, section: Mapping[str, Any], registry: Registry
) -> Any:
    """Look up the ``type`` of a section; None, and a finding, if there is none."""
    if 'type' not in section:
        problems.add(f'{path}.type', 'is required and missing.')
        return None
    try:
        return lookup(registry, section['type'])
    except ValueError as error:
        problems.add(f'{path}.type', str(error))
        return None


def check_component(
    problems: Problems,
    path: str,
    section: Mapping[str, Any],
    registry: Registry,
    provided: Collection[str] = (),
) -> dict[str, Any]:
    """Check a section with a ``type`` from a registry, and the scorers inside it.

    Args:
        problems: Receives the findings.
        path: Dotted path of the section.
        section: Names and values as read.
        registry: Where the type is registered.
        provided: Arguments that do not come from the section.

    Returns:
        The section, its values converted to what the constructor asks for.
    """
    cls = find_class(problems, path, section, registry)
    if cls is None:
        return dict(section)
    checked = check_section(problems, path, section, cls, provided)
    if isinstance(checked.get('weights'), str):
        checked['weights'] = check_weights(problems, f'{path}.weights', checked['weights'])
    if isinstance(checked.get('scorer'), dict):
        checked['scorer'] = check_scorer(problems, f'{path}.scorer', checked['scorer'])
    if registry is SCORER_REGISTRY and isinstance(checked.get('scorers'), list):
        checked['scorers'] = [
            check_scorer(problems, f'{path}.scorers.{number}', member)
            for number, member in enumerate(checked['scorers'])
        ]
    return checked


def check_weights(problems: Problems, path: str, weights: str, kind: str | None = None) -> str:
    """Check weights that are given by path or by name; nothing is fetched.

    Args:
        problems: Receives the findings.
        path: Dotted path of the option.
        weights: Path or name.
        kind: What a name must stand for, ``network``; None for anything.

    Returns:
        The absolute path, or the name.
    """
    try:
        entry = named_entry(weights)
    except MissingWeightsError as error:
        problems.add(path, str(error))
        return weights
    if entry is None:
        return str(resolve(weights))
    if kind not in (None, entry.kind):
        problems.add(path, f'should be a {kind}; {entry.name} is {entry.about} ({entry.kind}).')
    return weights


def check_scorer(problems: Problems, path: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """Check a scorer inside another section; ``range`` may bound one that has no range."""
    checked = check_component(problems, path, without(section, 'range'), SCORER_REGISTRY)
    if 'range' not in section:
        return checked
    span = section['range']
    finite = isinstance(span, list) and all(
        isinstance(end, int | float) and math.isfinite(end) for end in span
    )
    if not finite or len(span) != 2 or span[0] == span[1]:
        problems.add(f'{path}.range', 'give [worst, best], two different finite numbers.')
    return checked | {'range': span}


def refuse_random_fusion(problems: Problems, path: str, scorer: Any) -> None:
    """Refuse a random ensemble where the same image must always have the same score."""
    if isinstance(scorer, Mapping) and scorer.get('fusion') == 'random':
        problems.add(f'{path}.fusion', 'random is for train.quality_opt only; use mean.')


def check_network(problems: Problems, path: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """Check a network; one of spandrel against the constructor of its architecture."""
    if section.get('type') != 'spandrel' or 'arch' not in section:
        return check_component(problems, path, section, ARCH_REGISTRY)
    try:
        cls = network_class(section['arch'])
    except ValueError as error:
        problems.add(f'{path}.arch', str(error))
        return dict(section)
    own = without(section, 'arch')
    checked = check_section(problems, path, own, cls, code_arguments(cls))
    return checked | {'arch': section['arch']}


def check_torch(
    problems: Problems,
    path: str,
    section: Mapping[str, Any],
    find: Callable[[str], type],
    provided: str,
) -> dict[str, Any]:
    """Check a section whose ``type`` is an optimiser or scheduler of torch."""
    try:
        cls = find(section.get('type', ''))
    except ValueError as error:
        problems.add(f'{path}.type', str(error))
        return dict(section)
    return check_section(problems, path, section, cls, (provided,))


def try_to_build(
    problems: Problems, path: str, section: Mapping[str, Any], registry: Registry, **extra: Any
) -> Any:
    """Build an object that is cheap to build; None, and a finding, if its constructor refuses."""
    if any(entry.startswith(path) for entry in problems.entries):
        return None
    try:
        return build(registry, section, **extra)
    except ValueError as error:
        problems.add(path, str(error))
        return None


def without(section: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Copy a section without some of its options."""
    return {key: value for key, value in section.items() if key not in keys}
