"""Option files with one mistake each, made at random from good ones."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from iqasr import registry
from iqasr.registry import names_in

REGISTRIES = [value for name, value in vars(registry).items() if name.endswith('_REGISTRY')]
WRONG_KINDS = (True, 'blue', 2.5, [1, 2], {'a': 1}, None)
NUMBERS = (-64, -1, 0, 0.5, 7, 1000)
NON_FINITE = (float('nan'), float('inf'))
KINDS = ('misspelled', 'removed', 'wrong kind', 'number', 'non-finite', 'type', 'moved', 'section')


@dataclass(frozen=True)
class Mutation:
    """One mistake: its kind, the dotted path of the option, values there, and the file."""

    kind: str
    path: str
    value: Any
    was: Any
    options: dict[str, Any]

    def __str__(self) -> str:
        return f'{self.kind}: {self.path} = {self.value!r}'


def paths_of(content: dict[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """List the paths of all options and sections."""
    for key, value in content.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from paths_of(value, (*prefix, key))


def choose(choices: Any, generator: torch.Generator) -> Any:
    """Draw one of several."""
    listed = list(choices)
    return listed[int(torch.randint(len(listed), (), generator=generator))]


def section_at(content: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Find the section that holds an option."""
    for key in path[:-1]:
        content = content[key]
    return content


def misspell(word: str, generator: torch.Generator) -> str:
    """Drop, double or swap a letter."""
    i = int(torch.randint(len(word) - 1, (), generator=generator))
    swapped = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    variants = {word[:i] + word[i + 1 :], word[:i] + word[i] + word[i:], swapped} - {word, ''}
    return choose(sorted(variants), generator)


def mutate(options: dict[str, Any], kind: str, generator: torch.Generator) -> Mutation | None:
    """Make one mistake; None if the kind does not fit what was drawn."""
    mutated = copy.deepcopy(options)
    path = choose(paths_of(options), generator)
    section, key = section_at(mutated, path), path[-1]
    value = was = section[key]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == 'misspelled' and len(key) > 2:
        new = misspell(key, generator)
        section[new] = section.pop(key)
        path, value = (*path[:-1], new), key if value is not None else None
    elif kind == 'removed':
        del section[key]
    elif kind == 'wrong kind':
        value = section[key] = choose([v for v in WRONG_KINDS if v != value], generator)
    elif kind == 'number' and is_number:
        value = section[key] = choose([v for v in NUMBERS if v != value], generator)
    elif kind == 'non-finite' and is_number:
        value = section[key] = choose(NON_FINITE, generator)
    elif kind == 'type' and key == 'type':
        known = next((names_in(r) for r in REGISTRIES if value in names_in(r)), ['SGD'])
        value = section[key] = choose([name for name in known if name != value], generator)
    elif kind == 'moved' and len(path) > 1:
        value = section.pop(key)
        section_at(mutated, path[:-1])[key] = value
        path = (*path[:-2], key)
    elif kind == 'section' and isinstance(value, dict):
        value = section[key] = choose((3, 'blue', [], [value], {}), generator)
    else:
        return None
    return Mutation(kind, '.'.join(path), value, was, mutated)


def mutations(options: dict[str, Any], count: int, seed: int) -> Iterator[Mutation]:
    """Draw so many mistakes, no two alike, of all kinds in turn."""
    generator, seen = torch.Generator().manual_seed(seed), set()
    while len(seen) < count:
        kind = KINDS[len(seen) % len(KINDS)]
        mutation = mutate(options, kind, generator)
        if mutation is not None and str(mutation) not in seen:
            seen.add(str(mutation))
            yield mutation
