"""Curation of a folder of photographs by the quality of their tiles."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from iqasr.analysis.panel import PanelScorer, score_by_panel
from iqasr.checking.components import scorer_sections
from iqasr.curation.outcome import UNREADABLE, Gone, Outcome, published, summary_of
from iqasr.curation.sieve import NEAR_DUPLICATE, Sieve, SieveRules, overall_quality
from iqasr.curation.tiles import Tile, TileReader, find_photographs, places_in, tile_name
from iqasr.data.candidates.candidate_set import CandidateSet
from iqasr.data.candidates.group import Group
from iqasr.enhancement.selection import fingerprint
from iqasr.enhancement.shared_work import share_out
from iqasr.registry import nearest
from iqasr.runtime.crops import cut_square
from iqasr.runtime.distributed import Process, joined_processes
from iqasr.runtime.errors import DataError, OptionError

logger = logging.getLogger('iqasr')

SMALL = 'small'

FLIPS = (slice(None), slice(None, None, -1))
"""The ways to go through rows or columns."""


@dataclass
class Photographs:
    """What is known of the photographs of a folder.

    Args:
        sizes: Height and width after reduction, by name of those that can be read.
        fingerprints: Of the same, and of their flips.
        tiles: Fingerprints of the tiles and of their flips, by name of the tile.
        unreadable: Errors of the others.
    """

    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    fingerprints: dict[str, list[str]] = field(default_factory=dict)
    tiles: dict[str, list[str]] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


def fingerprints_of(image: np.ndarray) -> list[str]:
    """Fingerprint a picture, ``(H, W, 3)`` uint8 RGB, then its three flips."""
    return [
        fingerprint(np.ascontiguousarray(image[rows, columns]))
        for rows in FLIPS
        for columns in FLIPS
    ]


@dataclass
class Curation:
    """The curation of one folder; may be killed and started again.

    Args:
        source: Folder of photographs; not changed.
        target: Folder of the outcome.
        rules: What stays.
        tile_px: Side of a tile.
        reduce: Factor by which photographs are reduced first.
        process: This process among those that share reading and scoring.
    """

    source: str
    target: Path
    rules: SieveRules
    tile_px: int = 256
    reduce: float = 1.0
    process: Process = field(default_factory=Process)

    def __post_init__(self) -> None:
        if self.tile_px < 16 or not self.reduce >= 1:
            raise ValueError(
                f'tile_px {self.tile_px}, reduce {self.reduce:g}: use at least 16 px and 1.'
            )
        self.files = find_photographs(self.source, self.target)
        self.reader = TileReader(self.files, {}, self.tile_px, self.reduce)

    @property
    def cache(self) -> Path:
        """Folder of what is kept for another run with the same tiles."""
        return self.target / f'.scores_{self.tile_px}px_reduced_{self.reduce:g}'

    def run(self, sections: Mapping[str, Mapping[str, Any]]) -> tuple[str, list[str]]:
        """Do all unfinished work.

        Args:
            sections: Sections of the scorers, by word.

        Returns:
            A summary in one line, and a sentence for each file and scorer that is left out.

        Raises:
            DataError: If no tile can be scored, or a scorer with a limit fails.
            CheckpointError: If a file cannot be written.
        """
        self.cache.mkdir(parents=True, exist_ok=True)
        self.process.barrier()
        found = self.examine()
        gone = self.photographs_that_go(found)
        photographs = [name for name in found.sizes if name not in gone]
        images = self.candidate_set(photographs, found)
        if not images.groups:
            raise DataError(f'{self.source}: no photograph is left, {summary_of(gone)}.')
        panel, failures = score_by_panel(images, sections, self.cache, process=self.process)
        words = [word for word in sections if word not in failures]
        if lost := [word for word in self.rules.limits if word in failures]:
            raise DataError(f'{lost[0]} has a limit, but cannot score: {failures[lost[0]]}')
        complaints = [*found.unreadable.values(), *(f'{w}: {x}' for w, x in failures.items())]
        names = list(self.reader.tiles)
        scorers = dict(zip(words, panel, strict=True))
        scores = {word: published(own, names) for word, own in scorers.items()}
        sieve = self.sift(names, scorers, scores, found)
        outcome = Outcome(self.target, self.rules, self.reader, sieve, scores, gone)
        if self.process.is_main:
            outcome.write()
        self.process.barrier()
        return outcome.summary(), complaints

    def examine(self) -> Photographs:
        """Read all photographs, and fingerprint them and their tiles."""

        def examine_one(name: str) -> dict[str, Any]:
            try:
                image = self.reader.photograph(name)
            except (ValueError, OSError) as error:
                return {UNREADABLE: str(error)}
            places = places_in(*image.shape[:2], self.tile_px)
            tiles = [fingerprints_of(cut_square(image, place, self.tile_px)) for place in places]
            return {
                'size': image.shape[:2],
                'fingerprints': fingerprints_of(image),
                'tiles': tiles,
            }

        def is_current(_: str, result: dict[str, Any], state: list[int]) -> bool:
            return result['state'] == state and UNREADABLE not in result

        journal = self.cache / 'photographs.jsonl'
        results = share_out(journal, self.files, examine_one, is_current, self.process, 'examining')
        found = Photographs()
        for name in self.files:
            result = results[name]
            if UNREADABLE in result:
                found.unreadable[name] = result[UNREADABLE]
                continue
            found.sizes[name] = tuple(result['size'])
            found.fingerprints[name] = result['fingerprints']
            places = places_in(*result['size'], self.tile_px)
            for place, own in zip(places, result['tiles'], strict=True):
                found.tiles[tile_name(name, place)] = own
        return found

    def photographs_that_go(self, found: Photographs) -> Gone:
        """Find the photographs of which no tile is looked at."""
        gone = {name: (UNREADABLE, error, '') for name, error in found.unreadable.items()}
        for name, (height, width) in found.sizes.items():
            if min(height, width) < self.tile_px:
                gone[name] = SMALL, f'{width} x {height} px, a tile has {self.tile_px}', ''
        left = [name for name in found.sizes if name not in gone]
        left.sort(key=lambda name: (-np.prod(found.sizes[name]), name))
        twins = self.rules.near_duplicates([found.fingerprints[name] for name in left])
        for index, (twin, figures) in twins.items():
            gone[left[index]] = NEAR_DUPLICATE, f'{figures} from {left[twin]}', left[twin]
        return gone

    def candidate_set(self, photographs: Sequence[str], found: Photographs) -> CandidateSet:
        """Describe the tiles as the candidates of their photograph, so that each is scored."""
        groups = []
        for name in photographs:
            places = places_in(*found.sizes[name], self.tile_px)
            tiles = {tile_name(name, place): Tile(name, place) for place in places}
            self.reader.tiles |= tiles
            groups.append(Group(name, tuple(tiles), tuple(tiles), (None,) * len(tiles)))
        return CandidateSet(self.source, groups, self.reader)

    def sift(
        self,
        names: Sequence[str],
        scorers: Mapping[str, PanelScorer],
        scores: Mapping[str, np.ndarray],
        found: Photographs,
    ) -> Sieve:
        """Find out which tiles stay."""
        quality = np.array([[own.quality[name] for name in names] for own in scorers.values()])
        photographs = [self.reader.tiles[name].photograph for name in names]
        sieve = Sieve(names, photographs, overall_quality(quality))
        sieve.drop_unscored()
        for word, limit in self.rules.limits.items():
            lower = scorers[word].lower_better
            sieve.drop_beyond(word, scores[word], limit, lower)
        sieve.drop_near_duplicates([found.tiles[name] for name in names], self.rules)
        sieve.drop_beyond_most(self.rules.most)
        sieve.drop_worst(self.rules.best_share)
        return sieve


def curate_from_words(
    source: str,
    target: str,
    words: Sequence[str],
    limits: Sequence[str] = (),
    *,
    tile_px: int = 256,
    reduce: float = 1.0,
    cpu: bool = False,
    **rules: Any,
) -> list[str]:
    """Curate a folder, and log the outcome; under ``torchrun``, processes share the scoring.

    Args:
        source: Folder of photographs; sub-folders count.
        target: Folder that receives ``tiles``; ``meta_info.txt``, a list of them; ``weights.csv``,
            their `iqasr.data.candidates.sampling_weights.SamplingWeights`; ``curation.csv``, what
            came of each tile and photograph; ``histogram.png``, ``stays.png`` and ``goes.png``.
        words: Scorers: names or sections, as in `scorer_sections`.
        limits: ``<scorer>=<worst score that stays>``, the scorer as in `words`.
        tile_px: As in `Curation`, as is `reduce`.
        cpu: Do not use the GPU.
        rules: Fields of `SieveRules`.

    Returns:
        A sentence for each file and scorer that is left out.

    Raises:
        ValueError: If an argument is wrong, or no tile can be scored.
        CheckpointError: If a file cannot be written.
    """
    sections = scorer_sections(words)
    bounds = dict(read_limit(limit, words) for limit in limits)
    with joined_processes(cpu=cpu) as process, torch.no_grad():
        logger.setLevel(logging.INFO if process.is_main else logging.ERROR)
        own = SieveRules(limits=bounds, **rules)
        curation = Curation(source, Path(target), own, tile_px, reduce, process)
        summary, left_out = curation.run(sections)
    logger.info('%s', summary)
    for problem in left_out if process.is_main else ():
        logger.error('left out: %s', problem)
    return left_out


def read_limit(text: str, words: Sequence[str]) -> tuple[str, float]:
    """Read a limit.

    Raises:
        OptionError: If it is of no scorer, or no number.
    """
    word, _, number = text.rpartition('=')
    if word not in words:
        raise OptionError(f"limit '{text}': is of none of the scorers.{nearest(word, words)}")
    try:
        return word, float(number)
    except ValueError:
        raise OptionError(f"limit '{text}': '{number}' is no number.") from None
