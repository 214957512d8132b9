"""Score every candidate ground truth of a data set once, into a quality table."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from iqasr.data.candidates.candidate_set import CandidateSet
from iqasr.data.candidates.group import Group
from iqasr.data.scores.parts import (
    part_of,
    parts_of,
    refuse_scorer,
    remove_parts,
    score_in_parts,
    share_of,
)
from iqasr.data.scores.quality_rows import QualityRow, RowWriter, read_rows, write_rows
from iqasr.quality import QualityScorer, scorer_section
from iqasr.registry import SCORER_REGISTRY, build
from iqasr.runtime.distributed import Process, joined_processes

ScoredRows: TypeAlias = dict[tuple[str, str], QualityRow]
"""Rows of one scorer and version by key and candidate."""


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
    refuse_scorer(scorer, batch)
    process = process or Process()
    table = Path(out or Path(source, f'quality_{scorer.name}.csv'))

    def score(candidates: CandidateSet) -> None:
        score_share(candidates, scorer.to(process.device), table, batch=batch, process=process)

    def merge(groups: list[Group]) -> None:
        merge_parts(groups, scorer, table, process.world_size)

    return score_in_parts(source, table, process, score, merge)


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


def score_share(
    candidates: CandidateSet, scorer: QualityScorer, table: Path, *, batch: int, process: Process
) -> None:
    """Write the part of this process, ``<table>.rank<k>``: every world_size-th group.

    Rows of earlier runs are taken over where scorer, version and image are the same.
    """
    part = part_of(table, process.rank)
    own = rows_by_candidate([part], scorer)
    known = rows_by_candidate([table, *parts_of(table)], scorer) | own
    with RowWriter(part) as writer:
        for group in share_of(candidates, process, scorer.name):
            rows = score_group(candidates, group, scorer, known, batch, process.device)
            writer.write([row for row in rows if own.get((row.key, row.candidate)) is not row])


def merge_parts(groups: Iterable[Group], scorer: QualityScorer, table: Path, count: int) -> None:
    """Write the table from the parts of `count` processes, in the order of groups."""
    parts = [rows_by_candidate([part_of(table, rank)], scorer) for rank in range(count)]
    others = (
        [row for row in read_rows(table) if row.scorer != scorer.name] if table.exists() else []
    )
    rows = [
        parts[index % count][group.key, name]
        for index, group in enumerate(groups)
        for name in group.present
    ]
    write_rows(table, others + rows)
    remove_parts(table)


def rows_by_candidate(paths: Iterable[Path], scorer: QualityScorer) -> ScoredRows:
    """Read what a scorer, in this version, gave; later rows win."""
    return {
        (row.key, row.candidate): row
        for path in paths
        if path.exists()
        for row in read_rows(path)
        if (row.scorer, row.version) == (scorer.name, scorer.version)
    }


def score_group(
    candidates: CandidateSet,
    group: Group,
    scorer: QualityScorer,
    known: ScoredRows,
    batch: int,
    device: torch.device,
) -> list[QualityRow]:
    """Find the quality of the candidates of one image.

    Returns:
        One row per candidate that is there: the known one where the image is the same, else a new
        one.
    """
    rows: dict[str, QualityRow] = {}
    stale: list[str] = []
    for name, file in group.present.items():
        digest = candidates.reader.content_hash(file)
        row = known.get((group.key, name))
        if row is None or row.content_hash != digest:
            identity = (group.key, name, scorer.name, scorer.version, digest)
            row = QualityRow(*identity, math.nan, *scorer.score_range)
            stale.append(name)
        rows[name] = row
    images = [candidates.reader.image(group.present[name]) for name in stale]
    places = [candidates.reader.where(group.present[name]) for name in stale]
    qualities = score_images(images, places, scorer, batch=batch, device=device)
    for name, quality in zip(stale, qualities, strict=True):
        rows[name] = rows[name]._replace(quality=quality)
    return list(rows.values())


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
    quality = [math.nan] * len(images)
    for indices in by_size.values():
        for first in range(0, len(indices), batch):
            run = indices[first : first + batch]
            pixels = torch.from_numpy(np.stack([images[index] for index in run])).to(device)
            try:
                with torch.no_grad():
                    scored = scorer(pixels.permute(0, 3, 1, 2).float() / 255)
            except ValueError as error:
                raise ValueError(f'{names[run[0]]}: {error}') from error
            for index, value in zip(run, scored.tolist(), strict=True):
                quality[index] = value
    return quality
