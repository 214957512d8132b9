"""Result folders, as the test script leaves them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iqasr.data.image_files import DataError


@dataclass(frozen=True)
class Results:
    """What one network made of its test sets."""

    name: str
    better: dict[str, str | None]
    """Direction of each metric: ``higher``, ``lower`` or, if neither is better, None."""

    sets: dict[str, dict[str, Any]]
    """By test set: ``means`` by metric, and ``files`` by image (``lq``, ``gt``, ``output``)."""


def read_results(folder: str | Path) -> Results:
    """Read the summary in a result folder.

    Raises:
        DataError: If there is none, or it is not what the test script writes.
    """
    path = Path(folder) / 'summary.json'
    if not path.is_file():
        raise DataError(f'{path}: there is no such file. Run iqasr/test.py first.')
    try:
        return Results(**json.loads(path.read_text(encoding='utf-8')))
    except (json.JSONDecodeError, TypeError) as error:
        raise DataError(f'{path}: is no summary of iqasr/test.py ({error}).') from error


def common_sets(results: Sequence[Results]) -> list[str]:
    """List the test sets that all results have, in the order of the first.

    Raises:
        DataError: If there is none.
    """
    common = [name for name in results[0].sets if all(name in r.sets for r in results)]
    if not common:
        raise DataError(f'{", ".join(r.name for r in results)}: have no test set in common.')
    return common
