import numpy as np
import pytest
from scipy import stats

from iqasr.analysis.bootstrap import mean_estimate


def test_interval_of_equal_values_has_no_width():
    assert mean_estimate(np.full((3, 5), 2.0)) == (2.0, 2.0, 2.0)


def test_interval_covers_the_mean_in_about_95_of_100_cases():
    draw = np.random.default_rng(0)
    covered = 0
    for trial in range(60):
        _, low, high = mean_estimate(draw.normal(1.0, 1.0, (1, 40)), trial)
        covered += low <= 1.0 <= high
    assert covered >= 52


def test_interval_leaves_missing_values_out():
    mean, low, high = mean_estimate(np.array([[1.0, np.nan, 3.0]]))
    assert mean == 2.0
    assert 1.0 <= low < high <= 3.0


def test_interval_of_nothing_is_unknown():
    assert np.isnan(mean_estimate(np.full((1, 3), np.nan))).all()


def test_paired_interval_agrees_with_scipy_and_is_narrower_than_the_images_vary():
    draw = np.random.default_rng(1)
    hard = draw.normal(30, 5, 100)  # how hard an image is, for every run
    difference = hard + draw.normal(0.3, 0.5, 100) - hard
    expected = stats.bootstrap(
        (difference,), np.mean, n_resamples=20000, method='percentile', random_state=draw
    ).confidence_interval
    mean, low, high = mean_estimate(difference[None])
    assert mean == pytest.approx(difference.mean())
    assert (low, high) == pytest.approx(tuple(expected), abs=0.015)
    assert high - low < 0.25
