import math

import pytest
import torch
from scipy.stats import zscore

from iqasr.quality import normalise_quality

INF, NAN = math.inf, math.nan


def test_range01_maps_the_ends_and_goes_on_beyond():
    quality = torch.tensor([-20.0, -5.0, 0.0, 5.0])
    normalised = normalise_quality(quality, 'range01', score_range=(-20.0, 0.0))
    assert normalised.tolist() == [0.0, 0.75, 1.0, 1.25]


def test_zscore_set_agrees_with_scipy_over_the_finite_ones():
    normalised = normalise_quality(torch.tensor([[1.0, 2.0, 6.0, -INF]]), 'zscore_set')
    torch.testing.assert_close(normalised[0, :3], torch.from_numpy(zscore([1, 2, 6])).float())


def test_zscore_set_of_equal_scores_is_zero():
    quality = torch.full((1, 3), 54.1234)
    assert normalise_quality(quality, 'zscore_set').tolist() == [[0.0, 0.0, 0.0]]


def test_zscore_dataset_uses_the_given_moments():
    quality = torch.tensor([[60.0, 75.0]])
    assert normalise_quality(quality, 'zscore_dataset', mean=65.0, std=5.0).tolist() == [[-1, 2]]


@pytest.mark.parametrize('how', ['none', 'range01', 'zscore_set', 'zscore_dataset'])
def test_what_is_not_finite_is_left_alone(how):
    quality = torch.tensor([[1.0, NAN, -INF, 2.0], [NAN, -INF, NAN, NAN]])
    normalised = normalise_quality(quality, how, score_range=(0, 10), mean=1.0, std=2.0)
    torch.testing.assert_close(normalised[~quality.isfinite()], quality[~quality.isfinite()],
                               equal_nan=True)  # fmt: skip
    assert normalised[0, [0, 3]].isfinite().all()


def test_zscore_dataset_without_spread_is_zero():
    assert normalise_quality(torch.ones(1, 2), 'zscore_dataset', mean=1.0, std=0.0).sum() == 0


def test_endless_range_is_refused():
    with pytest.raises(ValueError, match='Use `zscore_set`'):
        normalise_quality(torch.ones(1), 'range01', score_range=(0.0, INF))


def test_unknown_way_is_refused():
    with pytest.raises(ValueError, match="'minmax'"):
        normalise_quality(torch.ones(1), 'minmax')
