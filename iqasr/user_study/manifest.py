"""The manifest of a study: which method is behind each key of the page. The organiser keeps it."""

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from iqasr.runtime.errors import DataError
from iqasr.runtime.randomness import seed_of

Choice = Literal['a', 'b']


class StrictModel(BaseModel):
    """Part of a file of a study; unknown and missing entries are refused."""

    model_config = ConfigDict(extra='forbid', frozen=True)


class Trial(StrictModel):
    """One question: two images of the same source, side by side."""

    source: str
    image_a: str
    """Path, relative to the folder of the manifest; likewise the other images."""
    image_b: str
    reference: str | None = None


class Item(Trial):
    """A question without a known answer: the images of two methods."""

    a: str
    b: str


class Catch(Trial):
    """A question with a known answer: an image and a heavily blurred version of it."""

    answer: Choice


class Manifest(StrictModel):
    """A study: the meaning of the keys of its page."""

    study: str
    """Identifier of the study, derived from everything that a rater sees."""
    methods: list[str]
    items: dict[str, Item]
    """By key of the page, in serving order."""
    catch: dict[str, Catch]


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        DataError: If there is none, or scripts/make_study.py did not write it.
    """
    problems: list[str] = []
    manifest = read_model(path, Manifest, problems)
    if manifest is None:
        raise DataError(problems)
    return manifest


def read_model(path: Path, kind: type[StrictModel], problems: list[str]) -> StrictModel | None:
    """Read a JSON file; None, with its problems added to `problems`, if it does not fit `kind`."""
    try:
        return kind.model_validate(json.loads(path.read_text(encoding='utf-8-sig')))
    except FileNotFoundError:
        problems.append(f'{path}: there is no such file.')
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        problems.append(f'{path}: cannot be read as JSON ({error}). Ask for it again.')
    except ValidationError as error:
        problems += [
            f'{path}: {".".join(map(str, detail["loc"])) or "content"}: {detail["msg"]}.'
            for detail in error.errors()
        ]
    return None


def key_of(*place: int | str) -> str:
    """Derive a key that does not reveal its meaning."""
    return f'{seed_of("user study", *place):016x}'


def serving_order(
    methods: Sequence[str], sources: Sequence[str]
) -> list[tuple[str, tuple[str, str]]]:
    """Order all questions so that any run of consecutive ones is balanced.

    A rater is asked one run, the next rater the run after it. Sources take turns in this order, and
    so do pairs of methods: a run no longer than the number of sources has each source at most once,
    and the numbers of times that questions are asked differ by at most one.

    Returns:
        Source and pair of methods of each question.
    """
    pairs = list(combinations(methods, 2))
    draw = np.random.default_rng(seed_of('serving order', *methods, *sources))
    sources = [sources[i] for i in draw.permutation(len(sources))]
    return [
        (source, pairs[(turn + i) % len(pairs)])
        for turn in range(len(pairs))
        for i, source in enumerate(sources)
    ]
