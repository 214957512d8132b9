"""Quality of every candidate ground truth, scored once and kept in a CSV file."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from iqasr.data.scores.known_quality import KnownQuality, ScoredGroup
from iqasr.data.scores.quality_rows import QualityRow, by_group, read_rows
from iqasr.registry import nearest

HOW_TO_SCORE = 'python scripts/score_candidates.py -i <data> --scorer {scorer} -o {path}'


@dataclass(frozen=True)
class QualityTable(KnownQuality):
    """The quality that one scorer gave to the candidates of a data set."""

    @classmethod
    def read(cls, path: str, scorer: str | None = None) -> 'QualityTable':
        """Read a table.

        Args:
            path: CSV file written by ``scripts/score_candidates.py``.
            scorer: The scorer to take; None where the file holds only one.

        Returns:
            The table.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no quality table, does not hold the scorer, holds several and none
                is named, mixes versions of the scorer, or scores an image twice, differently.
        """
        if not os.path.isfile(path):
            command = HOW_TO_SCORE.format(scorer=scorer or '<scorer>', path=path)
            raise FileNotFoundError(f'{path}: there is no quality table. Make it: {command}')
        rows = read_rows(path)
        scorer = _which_scorer(path, scorer, sorted({row.scorer for row in rows}))
        rows = [row for row in rows if row.scorer == scorer]
        kinds = {(row.version, row.range_low, row.range_high) for row in rows}
        if len(kinds) > 1:
            raise ValueError(
                f"{path}: holds quality of several versions of '{scorer}': "
                f'{", ".join(sorted(version for version, *_ in kinds))}. Score again: '
                f'{HOW_TO_SCORE.format(scorer=scorer, path=path)}'
            )
        version, *score_range = kinds.pop()
        refuse_contradictions(path, rows)
        return cls(path, scorer, version, tuple(score_range), grouped(rows))

    @property
    def how_to_update(self) -> str:
        """The command that scores what has changed in the data, as a sentence."""
        return f'Score what is new: {HOW_TO_SCORE.format(scorer=self.scorer, path=self.path)}'


def refuse_contradictions(path: str, rows: Iterable[QualityRow]) -> None:
    """Refuse rows of one scorer that say two things of one image.

    Raises:
        ValueError: The message names the image.
    """
    first: dict[tuple[str, str], str] = {}
    for row in rows:
        said = f'{row.quality} of file {row.content_hash}'
        before = first.setdefault((row.key, row.candidate), said)
        if said != before:
            raise ValueError(
                f"{path}: candidate '{row.candidate}' of '{row.key}' has two scores: {before}, and "
                f'{said}. Remove the line that is wrong.'
            )


def grouped(rows: Iterable[QualityRow]) -> dict[str, ScoredGroup]:
    """Collect the rows of one scorer by group."""
    groups = {}
    for key, own in by_group(rows).items():
        hashes = tuple(row.content_hash for row in own.values())
        quality = np.array([[row.quality] for row in own.values()])
        groups[key] = ScoredGroup(key, tuple(own), hashes, None, quality)
    return groups


def _which_scorer(path: str, scorer: str | None, known: list[str]) -> str:
    if not known:
        raise ValueError(f'{path}: the quality table is empty. Score again.')
    if scorer is None and len(known) == 1:
        return known[0]
    if scorer is None:
        raise ValueError(f'{path}: holds several scorers. Name one of: {", ".join(known)}.')
    if scorer not in known:
        raise ValueError(
            f"{path}: holds no quality by '{scorer}'.{nearest(scorer, known)} "
            f'There are: {", ".join(known)}.'
        )
    return scorer
