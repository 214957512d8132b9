"""Scores that stand in a CSV file beside what people say, so that no image is needed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from iqasr.analysis.csv_lines import number_in, path_in, read_csv_lines
from iqasr.analysis.pairs import choose_columns
from iqasr.analysis.panel import PanelScorer
from iqasr.quality import find_traits
from iqasr.registry import nearest
from iqasr.runtime.errors import DataError, OptionError


@dataclass(frozen=True)
class ScoreColumn:
    """A metric whose scores stand in a column; of pairs in ``<name>_a`` and ``<name>_b``, or in
    ``<name>_winner`` and ``<name>_loser``.
    """

    name: str
    lower_better: bool
    """Direction of the scores."""
    section: Mapping[str, Any] | None = None
    """As in `PanelScorer`, as is `differentiable`."""
    differentiable: bool = False

    def cells(self, columns: Collection[str]) -> dict[str, str]:
        """Columns of scores, by the columns of their images; empty if there are none."""
        cells = self.expected_cells(columns)
        return cells if set(cells.values()) <= set(columns) else {}

    def expected_cells(self, columns: Collection[str]) -> dict[str, str]:
        """Columns that a file with these columns of images should have, as from `cells`."""
        if 'path' in columns and 'path_a' not in columns:
            return {'path': self.name}
        images = choose_columns(columns)[:2]
        return {image: f'{self.name}_{image.removeprefix("path_")}' for image in images}


def find_score_columns(
    names: Sequence[str], lower_better: Sequence[str] = (), higher_better: Sequence[str] = ()
) -> list[ScoreColumn]:
    """Find the direction of scores, and the scorers that give such scores.

    Args:
        names: Names of columns. Where they are those of scorers, as in `find_traits`, the direction
            is known.
        lower_better: Further columns, whose scores are lower for better images.
        higher_better: Further columns, whose scores are higher for better images.

    Raises:
        OptionError: If a direction is unknown, or contradicts another; the message names all.
    """
    problems, found = [], []
    for name in dict.fromkeys([*names, *lower_better, *higher_better]):
        traits = find_traits(name)
        directions = {traits.lower_better} if traits else set()
        directions |= {lower for lower in (True,) if name in lower_better}
        directions |= {lower for lower in (False,) if name in higher_better}
        if not directions:
            problems.append(
                f'{name}: no scorer is known by that name, so that it is unknown which direction '
                'is better. Name it in --lower_better or --higher_better.'
            )
        elif len(directions) > 1:
            known = f' Of the scorer {name}, one is known; rename the column if it is another.'
            problems.append(f'{name}: two directions are given.{known if traits else ""}')
        else:
            section = traits.section if traits and not traits.needs_reference else None
            differentiable = bool(section) and traits.differentiable
            found.append(ScoreColumn(name, directions.pop(), section, differentiable))
    if problems:
        raise OptionError('\n'.join(['scores that cannot be used:', *problems]))
    return found


def read_given_scores(path: str, columns: Sequence[ScoreColumn]) -> list[PanelScorer]:
    """Read the scores in a CSV file of pairs or opinions.

    Args:
        path: The file.
        columns: The metrics; those without columns in this file are left out.

    Raises:
        DataError: If a score is missing or not finite, or an image has two different ones; the
            message names file, line and column of all of them.
    """
    lines, folder = read_csv_lines(path, ()), Path(path).parent
    problems, found = [], []
    for column in columns:
        quality: dict[str, float] = {}
        for number, row in lines:
            for image, cell in column.cells(row).items():
                published = number_in(row[cell])
                score = -published if column.lower_better else published
                if np.isnan(score):
                    fault = f"is '{row[cell]}'; give a finite number, or remove the line."
                elif quality.setdefault(path_in(folder, row[image]), score) != score:
                    fault = f'is another score of {row[image]} than in a line before; give one.'
                else:
                    continue
                problems.append(f'{path}, line {number}: {cell} {fault}')
        if quality:
            section, differentiable = column.section, column.differentiable
            traits = (section, differentiable, column.lower_better)
            found.append(PanelScorer(column.name, *traits, quality))
    if problems:
        raise DataError(problems)
    return found


def refuse_unknown_columns(columns: Sequence[ScoreColumn], paths: Sequence[str]) -> None:
    """Refuse metrics that have no column in any of the files.

    Raises:
        DataError: The message names them, and the nearest column that there is.
    """
    headers = [list(read_csv_lines(path, ())[0][1]) for path in paths]
    there = sorted({str(name) for header in headers for name in header})
    problems = []
    for column in columns:
        if any(column.cells(header) for header in headers):
            continue
        expected = {name: None for h in headers for name in column.expected_cells(h).values()}
        problems.append(
            f'{", ".join(paths) or "no CSV file is given, and so"}: no column '
            f'{", ".join(expected) or column.name}.{nearest(column.name, there)} '
            f'There are: {", ".join(there)}.'
        )
    if problems:
        raise DataError(problems)
