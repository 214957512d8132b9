"""Result folders, read as iqasr/test.py wrote them."""

import csv
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from iqasr.runtime.errors import DataError
from iqasr.runtime.paths import natural_order, resolve

RELATIVE_TOLERANCE = 1e-6
"""Largest difference between a mean in ``summary.json`` and the mean of the CSV file."""


@dataclass(frozen=True)
class ResultFolder:
    """The results of one network on its test sets."""

    name: str
    better: dict[str, str | None]
    """Direction of each metric: ``higher``, ``lower``, or None if neither is better."""

    sets: dict[str, dict[str, Any]]
    """By test set: ``means`` by metric, and ``files`` by image (``lq``, ``gt``, ``output``)."""

    folder: Path = Path()

    def find_file(self, dataset: str, image: str, kind: str) -> Path | None:
        """Find a file of an image, even if the result folder was moved.

        Args:
            dataset: Test set.
            image: Name of the image.
            kind: ``lq``, ``gt`` or ``output``.

        Returns:
            An existing file, or None.
        """
        recorded = self.sets[dataset]['files'][image].get(kind)
        if recorded is None:
            return None
        moved = self.folder / 'visualization' / dataset / Path(recorded).name
        places = (resolve(recorded), moved) if kind == 'output' else (resolve(recorded),)
        return next((place for place in places if place.is_file()), None)

    def values(self, dataset: str) -> dict[str, dict[str, float]]:
        """Read the values of a test set, by image and metric.

        Raises:
            DataError: If the CSV file is missing, damaged, or contradicts the summary.
        """
        path = self.folder / f'{dataset}.csv'
        try:
            with path.open(encoding='utf-8-sig', newline='') as file:
                rows = list(csv.DictReader(file))
            values = {row.pop('name'): {m: float(v) for m, v in row.items()} for row in rows}
            if len(values) < len(rows):
                raise ValueError('an image is there twice')
        except FileNotFoundError as error:
            raise DataError(f'{path}: there is no such file. Test again.') from error
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f'{path}: is no table of iqasr/test.py ({error}).') from error
        problems = find_contradictions(values, self.sets[dataset])
        if problems:
            raise DataError(
                [f'{path} contradicts summary.json: {p}. Test again.' for p in problems]
            )
        return values


def find_contradictions(values: dict[str, dict[str, float]], summary: dict[str, Any]) -> list[str]:
    """List where a CSV file and the summary beside it disagree."""
    differing = sorted(values.keys() ^ summary['files'].keys())
    if differing:
        return [f'image {n} is {"not " * (n in values)}in the summary' for n in differing]
    problems = []
    for metric, stated in summary['means'].items():
        column = np.array([row.get(metric, math.nan) for row in values.values()])
        mean = float(np.nanmean(column)) if np.isfinite(column).any() else math.nan
        if not np.isclose(mean, stated, rtol=RELATIVE_TOLERANCE, atol=0, equal_nan=True):
            problems.append(f'the mean of {metric} is {mean:.6g}, in the summary {stated:.6g}')
    return problems


def read_result_folder(folder: str | Path) -> ResultFolder:
    """Read the summary in a result folder.

    Raises:
        DataError: If there is no summary, or it was not written by iqasr/test.py.
    """
    path = Path(folder) / 'summary.json'
    if not path.is_file():
        raise DataError(
            f'{path}: there is no such file. Run iqasr/test.py first; for images made elsewhere: '
            'iqasr-test -opt options/test/restored_x4.yml --force_yml '
            'datasets:test:dataroot_restored=...'
        )
    try:
        content = json.loads(path.read_text(encoding='utf-8-sig'))
        name, better, sets = (content[key] for key in ('name', 'better', 'sets'))
        return ResultFolder(str(name), dict(better), dict(sets), Path(folder))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f'{path}: is no summary of iqasr/test.py ({error}).') from error


def read_result_folders(folders: Sequence[str | Path]) -> list[ResultFolder]:
    """Read several result folders. Those of the same name get their path added to it.

    Args:
        folders: Result folders. A folder that only holds result folders (as a test of several
            checkpoints leaves it) stands for these.

    Raises:
        DataError: If a folder cannot be read, or none is given.
    """
    if not folders:
        raise DataError('There is no result folder to report on; name at least one.')
    results = [read_result_folder(own) for folder in folders for own in _expand(Path(folder))]
    count = Counter(r.name for r in results)
    return [replace(r, name=f'{r.name} ({r.folder})') if count[r.name] > 1 else r for r in results]


def _expand(folder: Path) -> list[Path]:
    inside = [] if (folder / 'summary.json').is_file() else folder.glob('*/summary.json')
    return sorted((path.parent for path in inside), key=natural_order) or [folder]


def common_test_sets(results: Sequence[ResultFolder]) -> list[str]:
    """List the test sets of all results, in the order of the first.

    Raises:
        DataError: If they have none in common.
    """
    common = [name for name in results[0].sets if all(name in r.sets for r in results)]
    if not common:
        raise DataError(f'{", ".join(r.name for r in results)}: have no test set in common.')
    return common
