import math

import pytest
import torch
from scipy.special import softmax

from iqasr.sampling import ArgmaxSampler, SoftmaxSampler, UniformSampler

QUALITY = torch.tensor([[36.13, 54.19, 50.0], [-3.0, -3.5, -math.inf]])


def test_hand_value():
    probabilities = SoftmaxSampler(temperature=1.0).probabilities(torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(probabilities, torch.tensor([[0.268941, 0.731059]]))


@pytest.mark.parametrize('temperature', [0.5, 5.0, 20.0])
def test_agrees_with_scipy(temperature):
    expected = softmax(QUALITY.double().numpy() / temperature, axis=1)
    probabilities = SoftmaxSampler(temperature).probabilities(QUALITY)
    torch.testing.assert_close(probabilities, torch.from_numpy(expected).float())


@pytest.mark.parametrize('temperature', [1e-30, 1e-3])
def test_small_temperature_is_argmax(temperature):
    cold = SoftmaxSampler(temperature).probabilities(QUALITY)
    assert torch.equal(cold, ArgmaxSampler().probabilities(QUALITY))


def test_large_temperature_is_uniform():
    hot = SoftmaxSampler(temperature=1e30).probabilities(QUALITY)
    torch.testing.assert_close(hot, UniformSampler().probabilities(QUALITY))


def test_shifting_quality_changes_nothing():
    sampler = SoftmaxSampler(temperature=2.0)
    torch.testing.assert_close(
        sampler.probabilities(QUALITY + 1024), sampler.probabilities(QUALITY), atol=1e-4, rtol=0
    )


def test_huge_quality_stays_finite():
    probabilities = SoftmaxSampler(0.01).probabilities(torch.tensor([[3e38, -3e38, 3e38]]))
    assert probabilities.tolist() == [[0.5, 0.0, 0.5]]
