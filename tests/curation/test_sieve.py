"""Which tiles stay, by rules whose outcome is known."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from iqasr.curation.sieve import Sieve, SieveRules, overall_quality, sampling_weights_of

NAMES = ['a-0', 'a-1', 'a-2', 'b-0', 'b-1']


@pytest.fixture
def sieve():
    overall = np.array([0.9, 0.7, 0.5, 0.3, np.nan])
    made = Sieve(NAMES, ['a', 'a', 'a', 'b', 'b'], overall)
    made.drop_unscored()
    return made


def left(sieve):
    return [NAMES[index] for index in sieve.left()]


def test_tile_without_score_goes_and_the_best_stands_first(sieve):
    assert left(sieve) == ['a-0', 'a-1', 'a-2', 'b-0']
    assert sieve.left_out['b-1'][0] == 'no score'


@pytest.mark.parametrize(
    ('lower', 'expected'), [(False, ['a-1', 'b-0']), (True, ['a-0', 'a-1', 'a-2'])]
)
def test_limits_are_published_scores(lower, expected, sieve):
    sieve.drop_beyond('some', np.array([2.0, 3, 2.5, 9, np.nan]), 3, lower)
    assert left(sieve) == expected


def test_of_near_duplicates_the_better_stays(sieve):
    codes = ['00' * 8, 'ff' * 8, '00' * 7 + '01', 'ff' * 7 + '00', '00' * 8]
    sieve.drop_near_duplicates([[code] for code in codes], SieveRules(most_alike_bits=6))
    assert left(sieve) == ['a-0', 'a-1', 'b-0']  # b-0 differs in 8 bits
    assert sieve.twins == {'a-2': 'a-0'}
    assert sieve.left_out['a-2'] == ('near-duplicate', '1 of 64 bits from a-0')


@pytest.mark.parametrize(('flips', 'count'), [(False, 4), (True, 3)])
def test_flips_count_if_asked(flips, count, sieve):
    fingerprints = [[code, other] for code, other in zip('13570', '2a1ce', strict=True)]
    rules = SieveRules(most_alike_bits=0, flips=flips)
    sieve.drop_near_duplicates(fingerprints, rules)
    assert len(left(sieve)) == count


def test_most_of_a_photograph_and_the_best_share(sieve):
    sieve.drop_beyond_most(2)
    assert left(sieve) == ['a-0', 'a-1', 'b-0']
    sieve.drop_worst(0.5)
    assert left(sieve) == ['a-0', 'a-1']  # half of three, rounded up
    assert sieve.left_out['b-0'][0] == 'not among the best'


def test_overall_quality_does_not_depend_on_units():
    quality = np.random.default_rng(0).normal(size=(2, 30))
    overall = overall_quality(quality)
    assert overall == pytest.approx(overall_quality(np.array([quality[0] ** 3, quality[1] * 9])))
    assert overall.mean() == pytest.approx(0.5)
    assert kendalltau(overall_quality(quality[:1]), quality[0]).statistic == 1


def test_weights_span_the_factor_with_mean_one():
    weights = sampling_weights_of(np.array([0.1, 0.5, 0.2, 0.9]), favour=8)
    assert weights.mean() == pytest.approx(1)
    assert weights[3] / weights[0] == pytest.approx(8)
    assert weights[2] / weights[0] == pytest.approx(2)
    assert sampling_weights_of(np.array([0.3]), favour=8).tolist() == [1]


@pytest.mark.parametrize(
    'wrong', [{'best_share': 0}, {'best_share': 1.1}, {'most': 0}, {'favour': 0}, {'favour': -1}]
)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SieveRules(**wrong)
