"""Quality of every candidate ground truth, scored once and kept in a CSV file."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from iqasr.data.scores.known_quality import KnownQuality
from iqasr.data.scores.quality_rows import QualityRow, read_rows
from iqasr.registry import nearest

HOW_TO_SCORE = 'python scripts/score_candidates.py -i <data> --scorer {scorer} -o {path}'


@dataclass(frozen=True)
class QualityTable(KnownQuality):
    """The quality that one scorer gave to the candidates of a data set."""

    path: str
    scorer: str
    version: str
    score_range: tuple[float, float]
    by_key: dict[str, dict[str, QualityRow]]
    """Its lines by key and candidate."""

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
                is named, or mixes versions of the scorer.
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
        by_key: dict[str, dict[str, QualityRow]] = {}
        for row in rows:
            by_key.setdefault(row.key, {})[row.candidate] = row
        return cls(path, scorer, version, tuple(score_range), by_key)

    def row(self, key: str, names: Sequence[str]) -> Tensor:
        """Look up the quality of the candidates of one image, :math:`(K,)`; see `rows`."""
        rows = self.by_key.get(key, {})
        self._refuse_others(key, names, rows)
        return torch.tensor([rows[name].quality for name in names])

    def rows(self, key: str, names: Sequence[str]) -> Tensor:
        """Look up the quality of the candidates of one image: one row for all its crops."""
        return self.row(key, names)[None]

    def content_hash(self, key: str, name: str) -> str:
        """Look up the hash of the image file that was scored."""
        return self.by_key[key][name].content_hash

    @property
    def how_to_update(self) -> str:
        """The command that scores what has changed in the data, as a sentence."""
        return f'Score what is new: {HOW_TO_SCORE.format(scorer=self.scorer, path=self.path)}'

    @cached_property
    def finite(self) -> Tensor:
        """All finite quality, float64."""
        qualities = [row.quality for rows in self.by_key.values() for row in rows.values()]
        quality = torch.tensor(qualities, dtype=torch.float64)
        return quality[quality.isfinite()]


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
