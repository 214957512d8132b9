"""Scoring a data set by several processes, each of which keeps its part in a file of its own."""

from collections.abc import Callable, Iterable
from pathlib import Path

from tqdm import tqdm

from iqasr.data.candidates.candidate_set import CandidateSet, open_candidates
from iqasr.data.candidates.group import Group
from iqasr.quality import QualityScorer
from iqasr.runtime.distributed import Process


def score_in_parts(
    source: str,
    path: Path,
    process: Process,
    score: Callable[[CandidateSet], None],
    merge: Callable[[list[Group]], None],
) -> Path:
    """Score the share of this process; the first one then merges the parts of all.

    Args:
        source: Folder or store, as `open_candidates` takes it.
        path: The file that is made; its folder is made if need be.
        process: This process among those that share the work.
        score: Writes the part of this process, `part_of`.
        merge: Writes the file from the parts, when all are complete, and removes them.

    Returns:
        `path`, complete in every process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    candidates = open_candidates(source, allow_missing=True)
    score(candidates)
    process.barrier()
    if process.is_main:
        merge(candidates.groups)
    process.barrier()
    return path


def share_of(candidates: CandidateSet, process: Process, label: str) -> Iterable[Group]:
    """Go through the groups of a process, every world_size-th, behind a bar in the first one."""
    share = candidates.groups[process.rank :: process.world_size]
    return tqdm(share, label, unit='group', disable=not process.is_main)


def part_of(path: Path, rank: int) -> Path:
    """Name the file in which a process keeps what it scored."""
    return path.with_name(f'{path.name}.rank{rank}')


def parts_of(path: Path) -> list[Path]:
    """List the parts that this and earlier runs left, of any number of processes."""
    prefix = f'{path.name}.rank'
    return sorted(part for part in path.parent.iterdir() if part.name.startswith(prefix))


def remove_parts(path: Path) -> None:
    """Remove the parts of which a file was made."""
    for part in parts_of(path):
        part.unlink()


def refuse_scorer(scorer: QualityScorer, batch: int) -> None:
    """Refuse a scorer that cannot score candidates, and an empty batch.

    Raises:
        ValueError: If it needs a reference, or `batch` is below 1.
    """
    if scorer.needs_reference:
        raise ValueError(f'{scorer.name}: compares with a reference; choose a no-reference scorer.')
    if batch < 1:
        raise ValueError(f'batch is {batch}; use 1 or more images per call.')
