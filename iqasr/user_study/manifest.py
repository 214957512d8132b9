"""What the organiser of a study keeps: which method is behind each key of the page."""

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


class Record(BaseModel):
    """A part of a file of a study; unknown or missing entries are refused."""

    model_config = ConfigDict(extra='forbid', frozen=True)


class Trial(Record):
    """One question: two images of the same source, side by side."""

    source: str
    image_a: str
    """Path, relative to the folder of the manifest; likewise the other images."""
    image_b: str
    reference: str | None = None


class Item(Trial):
    """A question without a right answer: two methods."""

    a: str
    b: str


class Catch(Trial):
    """A question with a known answer: an image, and the same heavily blurred."""

    answer: Choice


class Manifest(Record):
    """A study: what the keys of its page mean."""

    study: str
    """Identifies the study; made from everything that a rater sees."""
    methods: list[str]
    items: dict[str, Item]
    """By key of the page, in the order in which raters are served."""
    catch: dict[str, Catch]


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        DataError: If there is none, or it is not what scripts/make_study.py writes.
    """
    problems: list[str] = []
    manifest = read_record(path, Manifest, problems)
    if manifest is None:
        raise DataError(problems)
    return manifest


def read_record(path: Path, kind: type[Record], problems: list[str]) -> Record | None:
    """Read a JSON file; None, and further problems, if it is not what it should be."""
    try:
        return kind.model_validate(json.loads(path.read_text(encoding='utf-8')))
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
    """Make a key that tells nothing to who reads it."""
    return f'{seed_of("user study", *place):016x}'


def serving_order(
    methods: Sequence[str], sources: Sequence[str]
) -> list[tuple[str, tuple[str, str]]]:
    """Order all questions so that any stretch of them is balanced.

    A rater is asked a stretch, the next rater the one after it. In this order sources take turns,
    and so do pairs of methods: a stretch no longer than the number of sources has each at most
    once, and all questions are asked equally often, up to one.

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
