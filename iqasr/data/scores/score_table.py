"""Score every candidate ground truth of a data set once, into a quality table."""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from tqdm import tqdm

from iqasr.data.candidates.candidate_set import CandidateSet, Group, open_candidates
from iqasr.data.scores.quality_rows import QualityRow, RowWriter, read_rows, write_rows
from iqasr.quality import QualityScorer, scorer_section
from iqasr.registry import SCORER_REGISTRY, build
from iqasr.runtime.distributed import Process, join_processes, leave_processes

Scored: TypeAlias = dict[tuple[str, str], QualityRow]
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
    table.parent.mkdir(parents=True, exist_ok=True)
    candidates = open_candidates(source, allow_missing=True)
    score_share(candidates, scorer.to(process.device), table, batch=batch, process=process)
    process.barrier()
    if process.is_main:
        merge_parts(candidates.groups, scorer, table, process.world_size)
    process.barrier()
    return table


def refuse_scorer(scorer: QualityScorer, batch: int) -> None:
    """Refuse a scorer that cannot score candidates, and an empty batch.

    Raises:
        ValueError: If it needs a reference, or `batch` is below 1.
    """
    if scorer.needs_reference:
        raise ValueError(f'{scorer.name}: compares with a reference; choose a no-reference scorer.')
    if batch < 1:
        raise ValueError(f'batch is {batch}; use 1 or more images per call.')


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
    launcher = 'pytorch' if 'RANK' in os.environ else 'none'
    process = join_processes(launcher, 0 if cpu else 'auto')
    try:
        return score(source, scorer, out, process=process, **how)
    finally:
        leave_processes()


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
    share = candidates.groups[process.rank :: process.world_size]
    writer = RowWriter(part)
    for group in tqdm(share, desc=scorer.name, unit='group', disable=not process.is_main):
        rows = score_group(candidates, group, scorer, known, batch=batch, device=process.device)
        writer.write([row for row in rows if own.get((row.key, row.candidate)) is not row])
    writer.close()


def merge_parts(groups: Iterable[Group], scorer: QualityScorer, table: Path, count: int) -> None:
    """Write the table from the parts of `count` processes, in the order of groups."""
    parts = [rows_by_candidate([part_of(table, rank)], scorer) for rank in range(count)]
    others = (
        [row for row in read_rows(table) if row.scorer != scorer.name] if table.exists() else []
    )
    rows = [
        parts[index % count][group.key, name]
        for index, group in enumerate(groups)
        for name, file in zip(group.names, group.files, strict=True)
        if file is not None
    ]
    write_rows(table, others + rows)
    for part in parts_of(table):
        part.unlink()


def part_of(table: Path, rank: int) -> Path:
    """Name the file in which a process keeps what it scored."""
    return table.with_name(f'{table.name}.rank{rank}')


def parts_of(table: Path) -> list[Path]:
    """List the parts that this and earlier runs left, of any number of processes."""
    prefix = f'{table.name}.rank'
    return sorted(path for path in table.parent.iterdir() if path.name.startswith(prefix))


def rows_by_candidate(paths: Iterable[Path], scorer: QualityScorer) -> Scored:
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
    known: Scored,
    *,
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
    images: list[np.ndarray] = []
    for name, file in zip(group.names, group.files, strict=True):
        if file is None:
            continue
        digest = candidates.reader.content_hash(file)
        row = known.get((group.key, name))
        if row is None or row.content_hash != digest:
            identity = (group.key, name, scorer.name, scorer.version, digest)
            row = QualityRow(*identity, math.nan, *scorer.score_range)
            stale.append(file)
            images.append(candidates.image(file))
        rows[file] = row
    places = [candidates.where(file) for file in stale]
    qualities = score_images(images, places, scorer, batch=batch, device=device)
    for file, quality in zip(stale, qualities, strict=True):
        rows[file] = rows[file]._replace(quality=quality)
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
    for alike in by_size.values():
        for first in range(0, len(alike), batch):
            run = alike[first : first + batch]
            pixels = torch.from_numpy(np.stack([images[index] for index in run])).to(device)
            try:
                with torch.no_grad():
                    scored = scorer(pixels.permute(0, 3, 1, 2).float() / 255)
            except ValueError as error:
                raise ValueError(f'{names[run[0]]}: {error}') from error
            for index, value in zip(run, scored.tolist(), strict=True):
                quality[index] = value
    return quality
