"""Scoring a data set by several processes, each of which keeps its part in a file of its own."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from filelock import FileLock, Timeout
from tqdm import tqdm

from iqasr.data.candidates.candidate_set import CandidateSet, open_candidates
from iqasr.data.candidates.group import Group
from iqasr.data.files.journal import open_journal, part_of, parts_of
from iqasr.data.files.readers import Reader
from iqasr.quality import QualityScorer
from iqasr.runtime.distributed import Process

logger = logging.getLogger('iqasr')

Scored = TypeVar('Scored')
"""What is known of one group."""


@dataclass
class Scoring(ABC, Generic[Scored]):
    """Scores groups of candidates, several processes sharing the work.

    May be killed at any time and started again, with another number of processes too: what was
    scored is kept beside `path`, in ``<path>.rank<k>``, until the file is complete.

    Args:
        scorer: The scorer.
        path: The file that is made.
        batch: Most images per call of the scorer.
        process: This process among those that share the work.

    Raises:
        ValueError: If the scorer needs a reference, or `batch` is below 1.
    """

    scorer: QualityScorer
    path: Path
    batch: int
    process: Process

    header: ClassVar[str] = ''
    """First line of a part."""

    def __post_init__(self) -> None:
        if self.scorer.needs_reference:
            raise ValueError(
                f'{self.scorer.name}: compares with a reference; choose a no-reference scorer.'
            )
        if self.batch < 1:
            raise ValueError(f'batch is {self.batch}; use 1 or more images per call.')

    def read_earlier(self) -> dict[str, Scored]:
        """Read what `path` holds of this scorer, by key of the group."""
        return self.read_part(self.path)

    @abstractmethod
    def read_part(self, part: Path) -> dict[str, Scored]:
        """Read what a part holds of this scorer, by key of the group; later lines win."""

    @abstractmethod
    def lines_of(self, scored: Scored) -> str:
        """Write a group as lines of a part."""

    @abstractmethod
    def score(self, reader: Reader, group: Group, known: Scored | None) -> Scored:
        """Score a group; returns `known`, where its images are the same."""

    @abstractmethod
    def write(self, groups: Sequence[Group], scored: Mapping[str, Scored]) -> None:
        """Write `path` from what was scored, by key."""

    def run(self, source: str) -> Path:
        """Score a data set, or what is new or changed in it; see `open_candidates`.

        Returns:
            `path`, complete in every process.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.locked():
            candidates = open_candidates(source, allow_missing=True)
            self.score_share(candidates)
            self.process.barrier()
            if self.process.is_main:
                self.merge(candidates.groups)
            self.process.barrier()
        return self.path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Wait while another command makes the same file; a killed one frees the lock."""
        lock = FileLock(self.path.with_name(f'.{self.path.name}.lock'))
        if self.process.is_main:
            try:
                lock.acquire(timeout=0)
            except Timeout:
                logger.info('%s: waiting for another command that makes it.', self.path)
                lock.acquire()
        self.process.barrier()
        try:
            yield
        finally:
            lock.release()

    def score_share(self, candidates: CandidateSet) -> None:
        """Write the part of this process: every world_size-th group."""
        self.scorer.to(self.process.device)
        part = part_of(self.path, self.process.rank)
        own = self.read_part(part)
        known = self.read_earlier()
        for other in parts_of(self.path):
            known |= self.read_part(other)
        known |= own
        share = candidates.groups[self.process.rank :: self.process.world_size]
        hidden = not self.process.is_main
        with open_journal(part, self.header) as journal:
            for group in tqdm(share, self.scorer.name, unit='group', disable=hidden):
                scored = self.score(candidates.reader, group, known.get(group.key))
                if scored is not own.get(group.key):
                    journal.write(self.lines_of(scored))

    def merge(self, groups: Sequence[Group]) -> None:
        """Write the file from the parts of all processes, and remove those."""
        count = self.process.world_size
        parts = [self.read_part(part_of(self.path, rank)) for rank in range(count)]
        # Of earlier runs, a part may also hold groups that are another process's share now.
        scored = {group.key: parts[k % count][group.key] for k, group in enumerate(groups)}
        self.write(groups, scored)
        for part in parts_of(self.path):
            part.unlink()
