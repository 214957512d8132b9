"""Components named on a command line: from words to checked sections."""

from collections.abc import Callable, Sequence
from typing import Any

import yaml

from iqasr.checking.components import check_component
from iqasr.options.schema import Problems
from iqasr.quality import scorer_section
from iqasr.registry import SCORER_REGISTRY, Registry
from iqasr.runtime.errors import OptionError


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
