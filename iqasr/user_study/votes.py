"""The votes of a study: read, checked, and joined with the questions they answer."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from iqasr.analysis.data_sets import name_data_sets
from iqasr.analysis.pairs import PairSet, PairVote, pairs_from_votes, refuse_single_source
from iqasr.runtime.errors import DataError
from iqasr.user_study.manifest import (
    Choice,
    Item,
    Manifest,
    StrictModel,
    read_manifest,
    read_model,
)

logger = logging.getLogger('iqasr')

LEAST_CAUGHT = 0.7
"""Share of catch trials that a rater must answer correctly to be included."""


class Vote(StrictModel):
    """One answer."""

    trial: str
    """Key of the question."""
    choice: Choice
    side: Literal['left', 'right']
    """Position of the chosen image; on a narrow screen the left one is above."""
    seconds: float = Field(ge=0)
    repeat: bool = False
    """Whether the question was asked before, with sides exchanged."""


class Ballot(StrictModel):
    """All answers of a rater, as in the file that the page downloads."""

    study: str
    rater: str
    started: str
    votes: list[Vote]


@dataclass(frozen=True)
class RaterReliability:
    """Answers of a rater to questions with a known or an earlier answer."""

    caught: int
    """Catch trials answered correctly."""
    catch: int
    """Catch trials answered."""
    consistent: int
    """Repeated questions answered as before."""
    repeats: int
    """Repeated questions answered."""

    def passes(self, least_caught: float) -> bool:
        """Whether the share of catch trials answered correctly is at least `least_caught`."""
        return self.caught >= least_caught * self.catch


def read_ballots(paths: Sequence[Path], manifest: Manifest) -> list[Ballot]:
    """Read files of votes. Of several files of one rater the longest is kept, with a warning.

    Raises:
        DataError: If a file is damaged, of another study, or holds impossible answers; the message
            names all of them.
    """
    problems: list[str] = []
    kept: dict[str, tuple[Path, Ballot]] = {}
    for path in paths:
        ballot = read_model(path, Ballot, problems)
        if ballot is None:
            continue
        problems += find_impossible_votes(ballot, manifest, path)
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


def find_impossible_votes(ballot: Ballot, manifest: Manifest, path: Path) -> list[str]:
    """List what cannot have come from the page of this study."""
    if ballot.study != manifest.study:
        return [
            f'{path}: votes of study {ballot.study}, but this is study {manifest.study}. Give the '
            'study.json that belongs to them.'
        ]
    known = manifest.items | manifest.catch
    unknown = sorted({vote.trial for vote in ballot.votes} - known.keys())
    asked = [(vote.trial, vote.repeat) for vote in ballot.votes]
    twice = sorted({key for key, repeat in asked if asked.count((key, repeat)) > 1})
    return [
        f'{path}: {", ".join(keys[:3])}: {fault}. Ask the rater for the file as it was downloaded.'
        for keys, fault in ((unknown, 'no question of this study'), (twice, 'answered twice'))
        if keys
    ]


def rater_reliability(ballot: Ballot, manifest: Manifest) -> RaterReliability:
    """Count correct answers to catch trials and consistent answers to repeated questions."""
    caught = [
        vote.choice == manifest.catch[vote.trial].answer
        for vote in ballot.votes
        if vote.trial in manifest.catch
    ]
    first = {vote.trial: vote.choice for vote in ballot.votes if not vote.repeat}
    consistent = [vote.choice == first.get(vote.trial) for vote in ballot.votes if vote.repeat]
    return RaterReliability(sum(caught), len(caught), sum(consistent), len(consistent))


def counted_votes(ballot: Ballot, manifest: Manifest) -> list[tuple[Vote, Item]]:
    """List the votes between methods. A repeated question counts once, as first answered."""
    return [
        (vote, manifest.items[vote.trial])
        for vote in ballot.votes
        if vote.trial in manifest.items and not vote.repeat
    ]


def pair_votes(manifest: Manifest, root: Path, ballots: Sequence[Ballot]) -> list[PairVote]:
    """List the votes between methods with the crops that the rater saw.

    Args:
        manifest: The study.
        root: Folder of the manifest.
        ballots: Votes of the raters that are included.
    """
    return [
        PairVote(str(root / item.image_a), str(root / item.image_b), item.source, vote.choice)
        for ballot in ballots
        for vote, item in counted_votes(ballot, manifest)
    ]


def pairs_from_study(path: str, votes: Sequence[str]) -> PairSet:
    """Turn the votes of a study into pairs of crops, for the analysis of metrics.

    Args:
        path: ``study.json`` of scripts/make_study.py.
        votes: Files of votes. Raters who miss too many catch trials are left out, as in the
            analysis of the study.

    Raises:
        DataError: If study or votes cannot be read or do not belong together, no vote is left, or
            all votes are on one source.
    """
    if not path.endswith('.json'):
        raise DataError(f'{path}: votes belong to the study.json of their study; give that.')
    manifest = read_manifest(Path(path))
    ballots = read_ballots([Path(file) for file in votes], manifest)
    included = [b for b in ballots if rater_reliability(b, manifest).passes(LEAST_CAUGHT)]
    pairs = pairs_from_votes(pair_votes(manifest, Path(path).parent, included))
    if not pairs:
        raise DataError(
            f'{path}: no vote is left; {len(ballots) - len(included)} of {len(ballots)} raters '
            'missed too many catch trials. Collect more votes.'
        )
    return refuse_single_source(PairSet(pairs), path)


def find_data_sets(paths: Sequence[str], votes: Sequence[str]) -> dict[str, str | PairSet]:
    """Name data sets for the analysis of metrics, and read the votes of a study among them.

    Args:
        paths: Files and folders of `analyse_metrics`, or the ``study.json`` of a study.
        votes: Files of votes of the study.

    Raises:
        DataError: As `pairs_from_study` and `name_data_sets`, or if there are votes and no study.
    """
    studies = [path for path in paths if path.endswith('.json')]
    if votes and not studies:
        raise DataError('votes belong to the study.json of their study; name it as well.')
    sources = [pairs_from_study(path, votes) if path in studies else path for path in paths]
    return dict(zip(name_data_sets(paths), sources, strict=True))
