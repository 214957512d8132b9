"""Analysing a study: who counts, which method is preferred, how certain that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import binomtest

from iqasr.runtime.errors import DataError
from iqasr.user_study.agreement import alpha
from iqasr.user_study.manifest import Manifest
from iqasr.user_study.strengths import Votes, strengths_with_errors
from iqasr.user_study.votes import LEAST_CAUGHT, Ballot, Reliability, counted, reliability


@dataclass(frozen=True)
class Rate:
    """How often something happened, with its 95 % interval (Wilson, for independent votes)."""

    successes: int
    votes: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Preference:
    """How often one method was preferred to another."""

    method: str
    other: str
    rate: Rate


@dataclass(frozen=True)
class Strength:
    """Bradley-Terry strength of a method, mean 0 over the methods, with its 95 % interval."""

    method: str
    strength: float
    low: float
    high: float


@dataclass(frozen=True)
class Rater:
    """What became of a rater's votes."""

    name: str
    votes: int
    """Votes between methods, without repeats."""
    reliability: Reliability
    included: bool


@dataclass(frozen=True)
class Analysis:
    """What a study has shown."""

    study: str
    raters: list[Rater]
    sources: int
    """Images with votes."""
    preferences: list[Preference]
    strengths: list[Strength]
    """The strongest first."""
    agreement: float | None
    """Krippendorff's alpha, see `agreement.alpha`; None if no question has two votes."""
    left: Rate
    """How often the left (or upper) image was chosen; sides were drawn at random."""


def analyse(
    manifest: Manifest, ballots: Sequence[Ballot], least_caught: float = LEAST_CAUGHT
) -> Analysis:
    """Analyse the votes of a study.

    Args:
        manifest: The study.
        ballots: Votes, one ballot per rater.
        least_caught: Raters who answer a smaller share of their catch trials rightly are left out.

    Returns:
        The analysis.

    Raises:
        DataError: If no vote is left.
    """
    raters = [rater_of(ballot, manifest, least_caught) for ballot in ballots]
    included = [b for b, rater in zip(ballots, raters, strict=True) if rater.included]
    votes = votes_of(included, manifest)
    if not len(votes.winner):
        raise DataError(
            f'No vote is left: {len(ballots)} raters, {len(included)} of them answered '
            f'{least_caught:.0%} of their catch trials rightly. Collect more votes.'
        )
    sides = [vote.side == 'left' for ballot in included for vote, _ in counted(ballot, manifest)]
    return Analysis(
        study=manifest.study,
        raters=raters,
        sources=len(np.unique(votes.source)),
        preferences=preferences_of(votes.wins(len(manifest.methods)), manifest.methods),
        strengths=strengths_of(votes, manifest.methods),
        agreement=alpha(*votes_by_question(included, manifest)),
        left=rate_of(sum(sides), len(sides)),
    )


def rater_of(ballot: Ballot, manifest: Manifest, least_caught: float) -> Rater:
    """Judge a rater by the catch trials."""
    found = reliability(ballot, manifest)
    votes = len(counted(ballot, manifest))
    return Rater(ballot.rater, votes, found, found.passes(least_caught))


def votes_of(ballots: Sequence[Ballot], manifest: Manifest) -> Votes:
    """Turn ballots into indices of methods, raters and sources."""
    index = {name: i for i, name in enumerate(manifest.methods)}
    sources = {item.source: i for i, item in enumerate(manifest.items.values())}
    rows = [
        (*[index[m] for m in ((item.a, item.b) if vote.choice == 'a' else (item.b, item.a))],
         rater, sources[item.source])
        for rater, ballot in enumerate(ballots)
        for vote, item in counted(ballot, manifest)
    ]  # fmt: skip
    return Votes(*np.array(rows, dtype=int).reshape(-1, 4).T)


def votes_by_question(
    ballots: Sequence[Ballot], manifest: Manifest
) -> tuple[np.ndarray, np.ndarray]:
    """Count the votes for either image of every question."""
    votes = {key: {'a': 0, 'b': 0} for key in manifest.items}
    for ballot in ballots:
        for vote, _ in counted(ballot, manifest):
            votes[vote.trial][vote.choice] += 1
    return tuple(np.array([count[side] for count in votes.values()]) for side in 'ab')


def rate_of(successes: int, votes: int) -> Rate:
    """Estimate a rate and its interval."""
    interval = binomtest(successes, votes).proportion_ci(method='wilson')
    return Rate(successes, votes, successes / votes, float(interval.low), float(interval.high))


def preferences_of(wins: np.ndarray, methods: Sequence[str]) -> list[Preference]:
    """Estimate how often each method is preferred to each other, the preferred one first."""
    found = []
    for i, j in combinations(range(len(methods)), 2):
        first, second = (i, j) if wins[i, j] >= wins[j, i] else (j, i)
        votes = int(wins[i, j] + wins[j, i])
        if votes:
            rate = rate_of(int(wins[first, second]), votes)
            found.append(Preference(methods[first], methods[second], rate))
    return found


def strengths_of(votes: Votes, methods: Sequence[str]) -> list[Strength]:
    """Estimate strengths with intervals, the strongest first."""
    strengths, errors, factor = strengths_with_errors(votes, len(methods))
    return [
        Strength(methods[i], *map(float, (s, s - factor * errors[i], s + factor * errors[i])))
        for i, s in sorted(enumerate(strengths), key=lambda pair: -pair[1])
    ]
