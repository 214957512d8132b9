import numpy as np
import pytest

from iqasr.runtime.errors import DataError
from iqasr.user_study.agreement import krippendorff_alpha
from iqasr.user_study.analysis import analyse_votes, estimate_rate
from iqasr.user_study.manifest import Catch, Item, Manifest
from iqasr.user_study.strengths import Votes, fit_strengths, strengths_with_errors
from iqasr.user_study.summary import summary_text
from iqasr.user_study.votes import Ballot, Vote

PLANTED = np.array([0.9, 0.3, -0.2, -1.0])


def planted_study(
    strengths, *, raters: int, sources: int, votes: int, seed: int
) -> tuple[Manifest, list[Ballot]]:
    """Draw independent votes from Bradley-Terry strengths; every question once per rater."""
    draw = np.random.default_rng(seed)
    names = [f'm{i}' for i in range(len(strengths))]
    items = {
        f'{source}/{a}/{b}': Item(
            source=str(source), image_a='', image_b='', a=names[a], b=names[b]
        )
        for source in range(sources)
        for a in range(len(names))
        for b in range(a)
    }
    cast = [[] for _ in range(raters)]
    for place in draw.permutation(raters * len(items))[:votes]:
        key = list(items)[place % len(items)]
        gap = np.subtract(*(strengths[names.index(m)] for m in (items[key].a, items[key].b)))
        choice = 'a' if draw.random() < 1 / (1 + np.exp(-gap)) else 'b'
        side = 'left' if draw.random() < 0.5 else 'right'
        cast[place // len(items)].append(Vote(trial=key, choice=choice, side=side, seconds=1))
    manifest = Manifest(study='planted', methods=names, items=items, catch={})
    ballots = [
        Ballot(study='planted', rater=str(i), started='', votes=v) for i, v in enumerate(cast)
    ]
    return manifest, ballots


def test_1000_votes_recover_planted_strengths_within_their_intervals():
    analysis = analyse_votes(*planted_study(PLANTED, raters=20, sources=25, votes=1000, seed=0))
    assert [s.method for s in analysis.strengths] == ['m0', 'm1', 'm2', 'm3']
    for found, planted in zip(analysis.strengths, PLANTED, strict=True):
        assert found.low <= planted <= found.high
        assert 0.2 < found.high - found.low < 0.6
    assert analysis.left.low <= 0.5 <= analysis.left.high
    assert analysis.left.votes == 1000


def test_standard_errors_of_independent_votes_are_those_of_the_likelihood():
    manifest, ballots = planted_study(PLANTED[:2], raters=30, sources=30, votes=900, seed=1)
    found = analyse_votes(manifest, ballots)
    rate = found.preferences[0].rate.rate
    # The gap of two methods is the logit of the rate; a strength is half of it.
    expected = 0.5 / np.sqrt(900 * rate * (1 - rate))
    half_width = (found.strengths[0].high - found.strengths[0].low) / 2
    assert half_width / 2.045 == pytest.approx(expected, rel=0.3)


def test_votes_that_go_with_the_rater_widen_the_intervals():
    draw = np.random.default_rng(0)
    rater, source = np.divmod(np.arange(400), 20)
    independent = draw.random(400) < 0.5
    by_rater = (draw.random(20) < 0.5)[rater]
    errors = [
        strengths_with_errors(
            Votes(np.where(first, 0, 1), np.where(first, 1, 0), rater, source), 2
        )[1][0]
        for first in (independent, by_rater)
    ]
    assert errors[1] > 3 * errors[0]


def test_method_that_always_wins_has_a_finite_strength():
    strengths = fit_strengths(np.array([[0, 9, 9], [0, 0, 9], [0, 0, 0]]))
    assert strengths[0] > strengths[1] > strengths[2]
    assert np.abs(strengths).max() < 10


def test_strengths_are_the_logit_of_the_rate_between_two():
    assert np.diff(fit_strengths(np.array([[0, 9.5], [29.5, 0]]))) == pytest.approx(np.log(3))


def test_rate_has_the_interval_of_wilson():
    rate = estimate_rate(8, 10)
    # (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n), z = 1.95996
    assert (rate.rate, round(rate.low, 4), round(rate.high, 4)) == (0.8, 0.4902, 0.9433)


def brute_force_alpha(first, second):
    """Alpha by its definition, over all pairs of values, every question in both orders."""
    units = [[0] * a + [1] * b for a, b in zip(first, second, strict=True) if a + b > 1]
    units += [[1 - value for value in unit] for unit in units]
    values = np.concatenate(units)
    differing = sum((x != y) / (len(unit) - 1) for unit in units for x in unit for y in unit) / len(
        values
    )
    expected = (values[:, None] != values).sum() / (len(values) * (len(values) - 1))
    return 1 - differing / expected


def test_alpha_is_that_of_its_definition():
    first, second = np.array([3, 2, 1, 0, 5, 1]), np.array([0, 1, 1, 4, 2, 0])
    assert krippendorff_alpha(first, second) == pytest.approx(brute_force_alpha(first, second))


def test_alpha_of_agreement_chance_and_single_votes():
    assert krippendorff_alpha(np.array([4, 0]), np.array([0, 3])) == 1
    draw = np.random.default_rng(0).binomial(10, 0.5, 2000)
    assert krippendorff_alpha(draw, 10 - draw) == pytest.approx(0, abs=0.02)
    assert krippendorff_alpha(np.array([1, 0]), np.array([0, 1])) is None


@pytest.fixture
def two_methods():
    images = {'image_a': 'a.png', 'image_b': 'b.png'}
    return Manifest(
        study='s',
        methods=['one', 'two'],
        items={k: Item(source=k, a='one', b='two', **images) for k in ('x', 'y')},
        catch={k: Catch(source='x', answer='a', **images) for k in ('c', 'd')},
    )


def ballot_of(rater, **choices):
    votes = [Vote(trial=k, choice=c, side='left', seconds=1) for k, c in choices.items()]
    return Ballot(study='s', rater=rater, started='', votes=votes)


def test_rater_who_fails_catch_trials_is_left_out_and_listed(two_methods):
    careful = ballot_of('careful', x='a', y='a', c='a', d='a')
    careless = ballot_of('careless', x='b', y='b', c='a', d='b')
    strict, lenient = (
        analyse_votes(two_methods, [careful, careless], share) for share in (0.7, 0.5)
    )
    assert [rater.included for rater in strict.raters] == [True, False]
    assert strict.preferences[0].rate.rate == 1
    assert lenient.preferences[0].rate.rate == 0.5
    assert '| careless | 2 | 1 of 2 | 0 of 0 | left out |' in summary_text(strict)


def test_repeats_measure_consistency_and_count_once(two_methods):
    votes = [*ballot_of('r', x='a', y='b').votes]
    votes += [Vote(trial=k, choice='a', side='left', seconds=1, repeat=True) for k in 'xy']
    analysis = analyse_votes(two_methods, [Ballot(study='s', rater='r', started='', votes=votes)])
    found = analysis.raters[0].reliability
    assert (found.consistent, found.repeats) == (1, 2)
    assert analysis.left.votes == 2


def test_no_vote_left_is_refused(two_methods):
    with pytest.raises(DataError, match='No vote is left: 1 raters, 0 of them'):
        analyse_votes(two_methods, [ballot_of('careless', x='a', c='b')])


def test_summary_is_readable(two_methods):
    raters = [ballot_of('r|1<b>', x='a', y='a', c='a'), ballot_of('r2', x='a', y='b', c='a')]
    lines = summary_text(analyse_votes(two_methods, raters)).splitlines()
    assert lines[2] == '4 votes of 2 raters on 2 images.'
    assert '| r\\|1\\<b\\> | 2 | 1 of 1 | 0 of 0 |  |' in lines
    assert '| one | two | 75.0% | [30.1%, 95.4%] | 4 |' in lines
    # One question agreed on, one not: 1 - (2 / 4) / (4 / 7)
    assert '- Agreement between raters (Krippendorff alpha, 0 is chance): 0.125' in lines
