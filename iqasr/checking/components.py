"""Check a section of an option file, or a word of a command line, against what it builds."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import yaml

from iqasr.options.schema import Problems, check_section
from iqasr.pretrained import named_entry
from iqasr.quality import find_traits, scorer_section
from iqasr.registry import SCORER_REGISTRY, Registry, build, lookup, names_in
from iqasr.runtime.errors import MissingWeightsError, OptionError
from iqasr.runtime.paths import resolve


def find_class(
    problems: Problems,
    path: str,
    section: Mapping[str, Any],
    find: Callable[[str], Any],
    key: str = 'type',
) -> Any:
    """Find the class that a section names by `key`; None, and a finding, if there is none.

    Args:
        problems: Receives the finding.
        path: Dotted path of the section.
        section: Names and values as read.
        find: From a name to the class; raises ValueError if nothing is called so.
        key: Option that holds the name.
    """
    if key not in section:
        problems.add(f'{path}.{key}', 'is required and missing.')
        return None
    try:
        return find(section[key])
    except ValueError as error:
        problems.add(f'{path}.{key}', str(error))
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
    cls = find_class(problems, path, section, partial(lookup, registry))
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
    elif (lower := is_lower_better(checked)) is not None and lower != (span[0] > span[1]):
        better = 'lower' if lower else 'higher'
        problems.add(f'{path}.range', f'give [worst, best]; of this scorer, {better} is better.')
    return checked | {'range': span}


def is_lower_better(section: Mapping[str, Any]) -> bool | None:
    """Tell the direction of a scorer without building it; None where its constructor decides."""
    kind = str(section.get('type'))
    if kind == 'PyIQAScorer':
        traits = find_traits(str(section.get('metric')))
        return traits and traits.lower_better
    return getattr(names_in(SCORER_REGISTRY).get(kind), 'lower_better', False) or None


def refuse_random_fusion(problems: Problems, path: str, scorer: Any) -> None:
    """Refuse a random ensemble where the same image must always have the same score."""
    if isinstance(scorer, Mapping) and scorer.get('fusion') == 'random':
        problems.add(f'{path}.fusion', 'random is for train.quality_opt only; use mean.')


def check_by_building(
    problems: Problems, path: str, section: dict[str, Any], registry: Registry, **extra: Any
) -> Any:
    """Check the section at the end of a path inside another, and build what is cheap to build.

    Args:
        problems: Receives the findings.
        path: Dotted path of the inner section.
        section: The outer section; values of the inner one are converted in place.
        registry: Where the type of the inner one is registered.
        extra: Arguments that do not come from it.

    Returns:
        The object; None if there is no such section, or it is refused.
    """
    key = path.rpartition('.')[-1]
    if not isinstance(section.get(key), Mapping):
        return None
    section[key] = check_component(problems, path, section[key], registry, extra)
    if any(entry.startswith(path) for entry in problems.entries):
        return None
    try:
        return build(registry, section[key], **extra)
    except ValueError as error:
        problems.add(path, str(error))
        return None


def without(section: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Copy a section without some of its options."""
    return {key: value for key, value in section.items() if key not in keys}


# Of a command line


def sections_of_words(
    words: Sequence[str],
    registry: Registry,
    parse: Callable[[str], list[dict[str, Any]]],
    kind: str,
) -> list[list[dict[str, Any]]]:
    """Find and check the sections that words on a command line stand for. Nothing is built.

    Args:
        words: The words.
        registry: Registry of the components.
        parse: Turns a word into sections; its ValueError or YAMLError names what is wrong.
        kind: Plural name of the components, for the message.

    Returns:
        The sections of each word.

    Raises:
        OptionError: If any word is wrong; the message lists everything that is wrong.
    """
    problems, found = Problems(), []
    for word in words:
        try:
            sections = parse(word)
        except (ValueError, yaml.YAMLError) as error:
            problems.add(word, ' '.join(str(error).split()))
            continue
        problems.add_non_finite(word, sections)
        found.append([check_component(problems, word, section, registry) for section in sections])
    if problems.entries:
        raise OptionError('\n'.join([f'{kind} that cannot be used:', *problems.entries]))
    return found


def scorer_sections(words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Find the sections of scorers named on a command line, by word. Nothing is built.

    Args:
        words: Each the short name of a scorer (``niqe``, ``ranker``), the name of a pyiqa metric,
            or a section in YAML, ``{type: RankerScorer, weights: mine.safetensors}``.

    Raises:
        OptionError: If any word is wrong; the message lists everything that is wrong.
    """

    def parse(word: str) -> list[dict[str, Any]]:
        return [yaml.safe_load(word) if word.lstrip().startswith('{') else scorer_section(word)]

    sections = sections_of_words(words, SCORER_REGISTRY, parse, 'scorers')
    return {word: section for word, (section,) in zip(words, sections, strict=True)}
