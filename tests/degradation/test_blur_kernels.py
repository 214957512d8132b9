import math

import numpy as np
import pytest
import torch
from basicsr.data import degradations as basicsr

from iqasr.degradation import FinalSinc, FirstStage, SingleStage, kernels
from iqasr.degradation.kernels import (
    draw_around_one,
    draw_blur_kernels,
    draw_final_kernels,
    gaussian_kernels,
    sinc_kernels,
)
from iqasr.runtime.randomness import generator_at


def column(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize('size', [3, 7, 21])
@pytest.mark.parametrize('isotropic', [True, False])
@pytest.mark.parametrize(('sigma_x', 'sigma_y', 'theta'), [(0.2, 3.0, 0.4), (2.1, 0.7, -2.8)])
def test_gaussian_kernel_equals_basicsr(size, isotropic, sigma_x, sigma_y, theta):
    second = sigma_x if isotropic else sigma_y
    arguments = torch.tensor([size]), column(sigma_x), column(second), column(theta)
    shape = size, sigma_x, sigma_y, theta
    for beta in (0.5, 1.0, 3.7):
        generalized = gaussian_kernels(*arguments, column(beta), torch.tensor([False]))[0]
        plateau = gaussian_kernels(*arguments, column(beta), torch.tensor([True]))[0]
        expected = basicsr.bivariate_generalized_Gaussian(*shape, beta, isotropic=isotropic)
        np.testing.assert_allclose(generalized, expected, rtol=1e-9, atol=1e-15)
        expected = basicsr.bivariate_plateau(*shape, beta, isotropic=isotropic)
        np.testing.assert_allclose(plateau, expected, rtol=1e-9, atol=1e-15)
        if beta == 1.0:
            expected = basicsr.bivariate_Gaussian(*shape, isotropic=isotropic)
            np.testing.assert_allclose(generalized, expected, rtol=1e-9, atol=1e-15)


# torch's Bessel function is off by up to 5e-7, scipy's (which BasicSR uses) by less
@pytest.mark.parametrize('size', [3, 7, 21])
@pytest.mark.parametrize('cutoff', [math.pi / 5, 1.7, math.pi])
def test_sinc_kernel_equals_basicsr(size, cutoff):
    expected = basicsr.circular_lowpass_kernel(cutoff, size)
    given = sinc_kernels(torch.tensor([size]), column(cutoff))[0]
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-7)


def test_smaller_kernels_of_a_batch_are_padded_with_zeros():
    given = sinc_kernels(torch.tensor([7, 13]), column(1.7, 1.7))
    expected = basicsr.circular_lowpass_kernel(1.7, 7, pad_to=13)
    np.testing.assert_allclose(given[0], expected, rtol=0, atol=1e-7)


def test_sinc_kernel_of_one_pixel_changes_nothing():
    given = sinc_kernels(torch.tensor([1, 3]), column(2.0, 2.0))[0]
    assert given.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize('stage', [FirstStage(), SingleStage()])
def test_drawn_kernels_sum_to_one(stage):
    drawn = draw_blur_kernels(stage, 200, generator_at('kernels'))
    torch.testing.assert_close(drawn.sum((1, 2)), torch.ones(200, dtype=torch.float64))


@pytest.mark.parametrize('stage', [FirstStage(), SingleStage()])
def test_drawn_parameters_spread_over_their_ranges(stage, monkeypatch):
    calls = []
    monkeypatch.setattr(kernels, 'gaussian_kernels', lambda *a: calls.append(a) or torch.zeros(1))
    monkeypatch.setattr(kernels, 'sinc_kernels', lambda *a: calls.append(a) or torch.zeros(1))
    draw_blur_kernels(stage, 200, generator_at('spread'))
    (size, sigma_x, sigma_y, rotation, beta, plateau), (_, cutoff) = calls
    smallest, largest = stage.blur_kernel_size
    assert set(size.tolist()) == set(range(smallest, largest + 1, 2))
    for sigma in (sigma_x, sigma_y):
        low, high = stage.blur_sigma
        assert low <= sigma.min() < low + 0.1 * (high - low)
        assert high >= sigma.max() > high - 0.1 * (high - low)
    assert -math.pi <= rotation.min() < -3
    assert 3 < rotation.max() <= math.pi
    assert stage.betag_range[0] <= beta.min()
    assert beta.max() <= stage.betag_range[1]
    assert (beta[plateau] >= stage.betap_range[0]).all()
    assert (beta[plateau] <= stage.betap_range[1]).all()
    assert cutoff[size < 13].min() >= math.pi / 3
    assert cutoff.max() <= math.pi
    if largest >= 13:
        assert math.pi / 5 <= cutoff[size >= 13].min() < math.pi / 3


def test_kinds_are_drawn_with_their_weights(monkeypatch):
    calls = []
    monkeypatch.setattr(kernels, 'gaussian_kernels', lambda *a: calls.append(a) or torch.zeros(1))
    draw_blur_kernels(FirstStage(), 4000, generator_at('kinds'))
    _, sigma_x, sigma_y, _, beta, plateau = calls[0]
    # of n draws, a share p varies by less than 4 sqrt(p (1 - p) / n) < 0.032
    assert (sigma_x == sigma_y).double().mean() == pytest.approx(0.45 + 0.12 + 0.12, abs=0.032)
    assert plateau.double().mean() == pytest.approx(0.12 + 0.03, abs=0.032)
    assert (beta[~plateau] == 1).double().mean() == pytest.approx(0.7 / 0.85, abs=0.032)


def test_exponents_are_below_one_as_often_as_above():
    drawn = draw_around_one((0.5, 4.0), 2000, generator_at('halves'))
    assert (drawn < 1).double().mean() == pytest.approx(0.5, abs=0.045)
    assert 0.5 <= drawn.min() < 0.51
    assert 3.9 < drawn.max() <= 4


def test_sinc_probability_of_one_draws_only_sinc_kernels():
    drawn = draw_blur_kernels(FirstStage(sinc_prob=1), 50, generator_at('sinc'))
    assert (drawn.flatten(1).min(1).values < 0).all()
    drawn = draw_blur_kernels(FirstStage(sinc_prob=0), 50, generator_at('sinc'))
    assert (drawn >= 0).all()


@pytest.mark.parametrize(('prob', 'filtered'), [(0.0, 0), (1.0, 30)])
def test_final_kernels_filter_with_their_probability(prob, filtered):
    drawn = draw_final_kernels(FinalSinc(prob=prob), 30, generator_at('final'))
    assert ((drawn != 0).flatten(1).sum(1) > 1).sum() == filtered
