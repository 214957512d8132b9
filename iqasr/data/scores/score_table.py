"""Score every candidate ground truth of a data set once, into a quality table."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from iqasr.data.candidates.group import Group
from iqasr.data.files.readers import Reader
from iqasr.data.scores.parts import Scoring
from iqasr.data.scores.quality_rows import (
    HEADER,
    QualityRow,
    as_csv,
    by_group,
    read_rows,
    write_rows,
)
from iqasr.quality import QualityScorer, scorer_section
from iqasr.registry import SCORER_REGISTRY, build
from iqasr.runtime.distributed import Process, joined_processes

Rows: TypeAlias = dict[str, QualityRow]
"""Rows of the candidates of a group, by name."""


class TableScoring(Scoring[Rows]):
    """Scores candidates into a quality table; rows of other scorers in it are kept."""

    header = HEADER

    def read_part(self, part: Path) -> dict[str, Rows]:
        """Read the rows of this scorer in this version."""
        wanted = self.scorer.name, self.scorer.version
        return by_group(row for row in read_rows(part) if (row.scorer, row.version) == wanted)

    def lines_of(self, scored: Rows) -> str:
        """Write a row per candidate."""
        return as_csv(scored.values())

    def score(self, reader: Reader, group: Group, known: Rows | None) -> Rows:
        """Score the images of a group that are not known."""
        rows, stale = dict(known or {}), []
        for name, file in group.present.items():
            digest = reader.content_hash(file)
            if name not in rows or rows[name].content_hash != digest:
                identity = (group.key, name, self.scorer.name, self.scorer.version, digest)
                rows[name] = QualityRow(*identity, math.nan, *self.scorer.score_range)
                stale.append(name)
        if known and not stale:
            return known
        files = [group.present[name] for name in stale]
        images, places = ([read(file) for file in files] for read in (reader.image, reader.where))
        how = {'batch': self.batch, 'device': self.process.device}
        qualities = score_images(images, places, self.scorer, **how)
        for name, quality in zip(stale, qualities, strict=True):
            rows[name] = rows[name]._replace(quality=quality)
        return rows

    def write(self, groups: Sequence[Group], scored: Mapping[str, Rows]) -> None:
        """Write the table, in the order of the groups."""
        others = [row for row in read_rows(self.path) if row.scorer != self.scorer.name]
        own = [scored[group.key][name] for group in groups for name in group.present]
        write_rows(self.path, others + own)


def score_candidates(
    source: str,
    scorer: QualityScorer,
    out: str | None = None,
    *,
    batch: int = 8,
    process: Process | None = None,
) -> Path:
    """Score all candidates of a data set, or what is new or changed in it.

    May be killed at any time and started again, with another number of processes too: what was
    scored is kept beside `out`, in ``<out>.rank<k>``, until the table is complete.

    Args:
        source: Folder or store, as `open_candidates` takes it.
        scorer: The scorer.
        out: The table, CSV; default ``quality_<scorer>.csv`` inside `source`. Rows of other
            scorers in it are kept.
        batch: Most images per call of the scorer. They are candidates of one group, so that the
            result does not depend on the number of processes.
        process: This process among those that share the work; default the only one.

    Returns:
        Path of the table, complete in every process.

    Raises:
        DataError: If the data set cannot be read.
        ValueError: If the scorer needs a reference or refuses an image, or `batch` is below 1.
    """
    table = Path(out or Path(source, f'quality_{scorer.name}.csv'))
    return TableScoring(scorer, table, batch, process or Process()).run(source)


def score_from_options(
    source: str,
    name: str,
    options: Mapping[str, Any],
    out: str | None = None,
    *,
    cpu: bool = False,
    score: Callable[..., Path] = score_candidates,
    **how: int,
) -> Path:
    """Score, in one process or as one of those that torchrun started.

    Args:
        source: As in `score_candidates`, as is `out`.
        name: As in `scorer_named`.
        options: As in `scorer_named`.
        cpu: Leave the GPU alone.
        score: `score_candidates`, or `iqasr.data.scores.score_map.score_map`.
        how: Further options of `score`: its batch, its crops.
    """
    scorer = scorer_named(name, options)
    with joined_processes(cpu=cpu) as process:
        return score(source, scorer, out, process=process, **how)


def scorer_named(name: str, options: Mapping[str, Any]) -> QualityScorer:
    """Build a scorer from a short name; see `scorer_section`."""
    return build(SCORER_REGISTRY, scorer_section(name, options))


def score_images(
    images: Sequence[np.ndarray],
    names: Sequence[str],
    scorer: QualityScorer,
    *,
    batch: int,
    device: torch.device,
) -> list[float]:
    """Score images, several at once where they are of one size.

    Args:
        images: Each ``(H, W, 3)`` uint8 RGB in [0, 255].
        names: What errors call them.
        scorer: The scorer.
        batch: Most images per call.
        device: Where the scorer works.

    Returns:
        The quality of each image, higher is better.

    Raises:
        ValueError: If the scorer refuses an image.
    """
    by_size: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        by_size.setdefault(image.shape, []).append(index)
    quality: dict[int, float] = {}
    for indices in by_size.values():
        for first in range(0, len(indices), batch):
            run = indices[first : first + batch]
            pixels = torch.from_numpy(np.stack([images[index] for index in run])).to(device)
            try:
                with torch.no_grad():
                    scored = scorer(pixels.permute(0, 3, 1, 2).float() / 255)
            except ValueError as error:
                raise ValueError(f'{names[run[0]]}: {error}') from error
            quality |= zip(run, scored.tolist(), strict=True)
    return [quality[index] for index in range(len(images))]
