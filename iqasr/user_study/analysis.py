"""Analysis of a study: included raters, preferences, strengths and agreement."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import binomtest

from iqasr.runtime.errors import DataError
from iqasr.user_study.agreement import krippendorff_alpha
from iqasr.user_study.manifest import Item, Manifest
from iqasr.user_study.strengths import Votes, strengths_with_errors
from iqasr.user_study.votes import (
    LEAST_CAUGHT,
    Ballot,
    RaterReliability,
    Vote,
    counted_votes,
    rater_reliability,
)


@dataclass(frozen=True)
class Rate:
    """A share of votes, with its 95 % interval (Wilson, for independent votes)."""

    successes: int
    votes: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Preference:
    """The share of votes that preferred one method to another."""

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
    """A rater, and whether the votes are included."""

    name: str
    votes: int
    """Votes between methods, without repeats."""
    reliability: RaterReliability
    included: bool


@dataclass(frozen=True)
class StudyAnalysis:
    """The results of a study."""

    study: str
    raters: list[Rater]
    sources: int
    """Number of images with votes."""
    preferences: list[Preference]
    strengths: list[Strength]
    """The strongest first."""
    agreement: float | None
    """See `krippendorff_alpha`."""
    left: Rate
    """Share of votes for the left (or upper) image; sides are drawn at random."""


def analyse_votes(
    manifest: Manifest, ballots: Sequence[Ballot], least_caught: float = LEAST_CAUGHT
) -> StudyAnalysis:
    """Analyse the votes of a study.

    Args:
        manifest: The study.
        ballots: Votes, one ballot per rater.
        least_caught: Least share of catch trials that a rater must answer correctly to be included.

    Raises:
        DataError: If no vote is left.
    """
    raters: list[Rater] = []
    cast: list[tuple[int, Vote, Item]] = []
    for number, ballot in enumerate(ballots):
        found, votes = rater_reliability(ballot, manifest), counted_votes(ballot, manifest)
        raters.append(Rater(ballot.rater, len(votes), found, found.passes(least_caught)))
        if raters[-1].included:
            cast += [(number, vote, item) for vote, item in votes]
    if not cast:
        included = sum(rater.included for rater in raters)
        raise DataError(
            f'No vote is left: {len(ballots)} raters, {included} of them answered '
            f'{least_caught:.0%} of their catch trials correctly. Collect more votes.'
        )
    votes = index_votes(cast, manifest)
    left = sum(vote.side == 'left' for _, vote, _ in cast)
    count = Counter((vote.trial, vote.choice) for _, vote, _ in cast)
    first, second = (np.array([count[key, ab] for key in manifest.items]) for ab in 'ab')
    return StudyAnalysis(
        study=manifest.study,
        raters=raters,
        sources=len(np.unique(votes.source)),
        preferences=estimate_preferences(votes.wins(len(manifest.methods)), manifest.methods),
        strengths=estimate_strengths(votes, manifest.methods),
        agreement=krippendorff_alpha(first, second),
        left=estimate_rate(left, len(cast)),
    )


def index_votes(cast: Sequence[tuple[int, Vote, Item]], manifest: Manifest) -> Votes:
    """Turn votes (with the number of the rater) into indices of methods, raters and sources."""
    methods = {name: i for i, name in enumerate(manifest.methods)}
    sources = {item.source: i for i, item in enumerate(manifest.items.values())}
    rows = []
    for rater, vote, item in cast:
        winner, loser = (item.a, item.b) if vote.choice == 'a' else (item.b, item.a)
        rows.append((methods[winner], methods[loser], rater, sources[item.source]))
    return Votes(*np.array(rows).T)


def estimate_rate(successes: int, votes: int) -> Rate:
    """Estimate a rate and its interval."""
    interval = binomtest(successes, votes).proportion_ci(method='wilson')
    return Rate(successes, votes, successes / votes, float(interval.low), float(interval.high))


def estimate_preferences(wins: np.ndarray, methods: Sequence[str]) -> list[Preference]:
    """Estimate the preference in each pair of methods, the preferred method first."""
    found = []
    for i, j in combinations(range(len(methods)), 2):
        first, second = (i, j) if wins[i, j] >= wins[j, i] else (j, i)
        votes = int(wins[i, j] + wins[j, i])
        if votes:
            rate = estimate_rate(int(wins[first, second]), votes)
            found.append(Preference(methods[first], methods[second], rate))
    return found


def estimate_strengths(votes: Votes, methods: Sequence[str]) -> list[Strength]:
    """Estimate strengths with intervals, the strongest first."""
    strengths, errors, factor = strengths_with_errors(votes, len(methods))
    return [
        Strength(methods[i], *map(float, (s, s - factor * errors[i], s + factor * errors[i])))
        for i, s in sorted(enumerate(strengths), key=lambda pair: -pair[1])
    ]
