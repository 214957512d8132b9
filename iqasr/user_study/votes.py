"""The votes of a study: read, checked, and joined with what they were about."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from iqasr.runtime.errors import DataError
from iqasr.user_study.manifest import Choice, Item, Manifest, Record, read_record

logger = logging.getLogger('iqasr')

LEAST_CAUGHT = 0.7
"""Share of catch trials that a rater must answer rightly to count."""


class Vote(Record):
    """One answer."""

    trial: str
    """Key of the question."""
    choice: Choice
    side: Literal['left', 'right']
    """Where the chosen image was; on a narrow screen left is above."""
    seconds: float = Field(ge=0)
    repeat: bool = False
    """Whether the question was asked before, with sides exchanged."""


class Ballot(Record):
    """All answers of a rater: a file as the page downloads it."""

    study: str
    rater: str
    started: str
    votes: list[Vote]


class Comparison(NamedTuple):
    """A vote of people between two images, for the analysis of metrics."""

    path_a: str
    path_b: str
    source_id: str
    choice: Choice


@dataclass(frozen=True)
class Reliability:
    """How a rater did where the answer is known."""

    caught: int
    """Catch trials answered rightly."""
    catch: int
    consistent: int
    """Repeated questions answered as before."""
    repeats: int

    def passes(self, threshold: float) -> bool:
        """Tell whether the share of catch trials answered rightly reaches a threshold."""
        return self.caught >= threshold * self.catch


def read_ballots(paths: Sequence[Path], manifest: Manifest) -> list[Ballot]:
    """Read files of votes.

    Of several files of one rater the longest is kept, and a warning names them.

    Raises:
        DataError: Naming every file that is damaged, of another study, or has answers that
            cannot be.
    """
    problems: list[str] = []
    kept: dict[str, tuple[Path, Ballot]] = {}
    for path in paths:
        ballot = read_record(path, Ballot, problems)
        if ballot is None:
            continue
        problems += impossible(ballot, manifest, path)
        other = kept.setdefault(ballot.rater, (path, ballot))
        if other[0] is not path:
            longest = max(other, (path, ballot), key=lambda held: len(held[1].votes))
            kept[ballot.rater] = longest
            logger.warning(
                '%s and %s are both of rater %s; keeping %s. If they are two people, change the '
                '`rater` in one.',
                *(other[0], path, ballot.rater, longest[0]),
            )
    if not paths:
        problems.append('There are no files of votes. Name those of your raters.')
    if problems:
        raise DataError(problems)
    return [ballot for _, ballot in kept.values()]


def impossible(ballot: Ballot, manifest: Manifest, path: Path) -> list[str]:
    """Name what cannot have come from this study's page."""
    if ballot.study != manifest.study:
        return [
            f'{path}: votes of study {ballot.study}, but this is study {manifest.study}. Give the '
            'study.json that belongs to them.'
        ]
    known = manifest.items | manifest.catch
    strange = sorted({vote.trial for vote in ballot.votes} - known.keys())
    asked = [(vote.trial, vote.repeat) for vote in ballot.votes]
    twice = sorted({key for key, repeat in asked if asked.count((key, repeat)) > 1})
    return [
        f'{path}: {", ".join(keys[:3])}: {what}. Ask the rater for the file as it was downloaded.'
        for keys, what in ((strange, 'no question of this study'), (twice, 'answered twice'))
        if keys
    ]


def reliability(ballot: Ballot, manifest: Manifest) -> Reliability:
    """Count right answers to catch trials and consistent answers to repeated questions."""
    caught = [
        vote.choice == manifest.catch[vote.trial].answer
        for vote in ballot.votes
        if vote.trial in manifest.catch
    ]
    first = {vote.trial: vote.choice for vote in ballot.votes if not vote.repeat}
    consistent = [vote.choice == first.get(vote.trial) for vote in ballot.votes if vote.repeat]
    return Reliability(sum(caught), len(caught), sum(consistent), len(consistent))


def counted(ballot: Ballot, manifest: Manifest) -> list[tuple[Vote, Item]]:
    """List the votes between methods; repeated questions count once, as first answered."""
    return [
        (vote, manifest.items[vote.trial])
        for vote in ballot.votes
        if vote.trial in manifest.items and not vote.repeat
    ]


def comparisons(manifest: Manifest, root: Path, ballots: Sequence[Ballot]) -> list[Comparison]:
    """List every vote with the images it is about: the crops that the rater saw.

    Args:
        manifest: The study.
        root: Folder of the manifest.
        ballots: Votes of the raters that count.
    """
    return [
        Comparison(str(root / item.image_a), str(root / item.image_b), item.source, vote.choice)
        for ballot in ballots
        for vote, item in counted(ballot, manifest)
    ]
