"""Result folders, as the test script leaves them."""

import collections
import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from iqasr.runtime.errors import DataError
from iqasr.runtime.paths import natural_order, resolve

RELATIVE_TOLERANCE = 1e-6
"""Between a mean in the summary and that of the CSV file, which are the same numbers."""


@dataclass(frozen=True)
class Results:
    """What one network made of its test sets."""

    name: str
    better: dict[str, str | None]
    """Direction of each metric: ``higher``, ``lower`` or, if neither is better, None."""

    sets: dict[str, dict[str, Any]]
    """By test set: ``means`` by metric, and ``files`` by image (``lq``, ``gt``, ``output``)."""

    folder: Path = Path()

    def file(self, dataset: str, image: str, what: str) -> Path | None:
        """Find a file of an image, also if the result folder has been moved.

        Args:
            dataset: Test set.
            image: Name of the image.
            what: ``lq``, ``gt`` or ``output``.

        Returns:
            A file that is there; None if there is none.
        """
        named = self.sets[dataset]['files'][image].get(what)
        if named is None:
            return None
        moved = self.folder / 'visualization' / dataset / Path(named).name
        places = (resolve(named), moved) if what == 'output' else (resolve(named),)
        return next((place for place in places if place.is_file()), None)

    def values(self, dataset: str) -> dict[str, dict[str, float]]:
        """Read the values of a test set: by image and metric.

        Raises:
            DataError: If the CSV file is missing, broken, or contradicts the summary.
        """
        path = self.folder / f'{dataset}.csv'
        try:
            with path.open(encoding='utf-8', newline='') as file:
                rows = list(csv.DictReader(file))
            values = {row.pop('name'): {m: float(v) for m, v in row.items()} for row in rows}
        except FileNotFoundError as error:
            raise DataError(f'{path}: there is no such file. Test again.') from error
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f'{path}: is no table of iqasr/test.py ({error}).') from error
        problems = contradictions(values, self.sets[dataset])
        if problems:
            raise DataError(
                [f'{path} contradicts summary.json: {p}. Test again.' for p in problems]
            )
        return values


def contradictions(values: dict[str, dict[str, float]], summary: dict[str, Any]) -> list[str]:
    """List what a CSV file says and the summary beside it does not."""
    differing = sorted(values.keys() ^ summary['files'].keys())
    if differing:
        return [f'image {n} is {"not " * (n in values)}in the summary' for n in differing]
    problems = []
    for metric, stated in summary['means'].items():
        column = np.array([row.get(metric, math.nan) for row in values.values()])
        mean = float(np.nanmean(column)) if np.isfinite(column).any() else math.nan
        same = math.isclose(mean, stated, rel_tol=RELATIVE_TOLERANCE)
        if not same and not (math.isnan(mean) and math.isnan(stated)):
            problems.append(f'the mean of {metric} is {mean:.6g}, in the summary {stated:.6g}')
    return problems


def read_results(folder: str | Path) -> Results:
    """Read the summary in a result folder.

    Raises:
        DataError: If there is none, or it is not what the test script writes.
    """
    path = Path(folder) / 'summary.json'
    if not path.is_file():
        raise DataError(f'{path}: there is no such file. Run iqasr/test.py first.')
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        name, better, sets = (content[key] for key in ('name', 'better', 'sets'))
        return Results(str(name), dict(better), dict(sets), Path(folder))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f'{path}: is no summary of iqasr/test.py ({error}).') from error


def read_all(folders: Sequence[str | Path]) -> list[Results]:
    """Read several result folders; those of the same name are told apart by their folders.

    Args:
        folders: One that only holds result folders, as several checkpoints leave it, stands for
            these.

    Raises:
        DataError: If one cannot be read.
    """
    results = [read_results(own) for folder in folders for own in result_folders(Path(folder))]
    count = collections.Counter(r.name for r in results)
    return [replace(r, name=f'{r.name} ({r.folder})') if count[r.name] > 1 else r for r in results]


def result_folders(folder: Path) -> list[Path]:
    """List the result folders in a folder, numbers in their order; else itself."""
    inside = [] if (folder / 'summary.json').is_file() else folder.glob('*/summary.json')
    return sorted((path.parent for path in inside), key=natural_order) or [folder]


def common_sets(results: Sequence[Results]) -> list[str]:
    """List the test sets that all results have, in the order of the first.

    Raises:
        DataError: If there is none.
    """
    common = [name for name in results[0].sets if all(name in r.sets for r in results)]
    if not common:
        raise DataError(f'{", ".join(r.name for r in results)}: have no test set in common.')
    return common
