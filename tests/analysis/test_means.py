import numpy as np
import pytest
from scipy import stats

from iqasr.analysis.means import mean_estimate


def test_interval_of_equal_values_has_no_width():
    assert mean_estimate(np.full((3, 5), 2.0)) == (2.0, 2.0, 2.0)


def test_interval_of_one_value_is_unknown_and_of_nothing_the_mean_too():
    single = mean_estimate(np.array([[1.5]]))
    assert single.value == 1.5
    assert np.isnan([single.low, single.high]).all()
    assert not single.excludes_zero
    assert single.as_difference() == '+1.500'
    assert np.isnan(mean_estimate(np.full((1, 3), np.nan))).all()


@pytest.mark.parametrize('shape', [(1, 12), (12, 1)])
def test_interval_along_one_axis_is_students_and_leaves_missing_values_out(shape):
    values = np.random.default_rng(0).normal(0.3, 0.5, 12)
    expected = stats.t.interval(0.95, 10, values[1:].mean(), stats.sem(values[1:]))
    values[0] = np.nan
    mean, low, high = mean_estimate(values.reshape(shape))
    assert mean == pytest.approx(np.nanmean(values))
    assert (low, high) == pytest.approx(expected)


def test_an_image_that_is_hard_for_both_does_not_widen_the_paired_interval():
    draw = np.random.default_rng(1)
    hard, gain = draw.normal(30, 5, (1, 100)), draw.normal(0.3, 0.5, (3, 100))
    assert mean_estimate((hard + gain) - hard) == pytest.approx(mean_estimate(gain))


def coverage(seeds, images, seed_deviation, image_deviation):
    """Of 1,000 intervals, how many hold the truth."""
    draw = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        values = draw.normal(0, 0.5, (seeds, images))
        values += draw.normal(0, 1, (seeds, 1)) * seed_deviation
        values += draw.normal(0, 1, images) * image_deviation
        _, low, high = mean_estimate(values)
        held += low <= 0 <= high
    return held


@pytest.mark.parametrize(
    'case',
    [(1, 2, 0, 1), (1, 8, 0, 1), (3, 54, 0, 0), (3, 54, 0, 1), (3, 54, 0.3, 0), (3, 54, 0.3, 1)],
)
def test_intervals_hold_the_truth_in_about_95_of_100_cases(case):
    assert 920 <= coverage(*case) <= 990


def test_two_seeds_that_vary_hold_the_truth_less_often():
    assert 860 <= coverage(2, 50, 1, 1) < 920 <= coverage(2, 50, 0, 1)


def test_seeds_that_agree_add_no_certainty_about_other_images():
    image = np.random.default_rng(2).normal(0, 1, 40)
    one, three = mean_estimate(image[None]), mean_estimate(np.stack([image] * 3))
    assert three == pytest.approx(one, rel=0.02)
