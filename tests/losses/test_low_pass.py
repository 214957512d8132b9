import pytest
import torch

from iqasr.losses.low_pass import LowPassGradient, low_pass
from iqasr.runtime.randomness import generator_at


def test_blur_of_a_point_is_a_gaussian():
    point = torch.zeros(1, 1, 21, 21)
    point[..., 10, 10] = 1
    line = torch.exp(-((torch.arange(21) - 10.0) ** 2) / (2 * 1.5**2))
    line[(torch.arange(21) - 10).abs() > 5] = 0  # cut off at 3 standard deviations
    expected = line[:, None] * line / line.sum() ** 2
    torch.testing.assert_close(low_pass(point, 1.5)[0, 0], expected)


@pytest.mark.parametrize('sigma_px', [0.01, 0.7, 30])
def test_blur_keeps_a_constant_of_any_size(sigma_px):
    image = torch.full((2, 3, 5, 9), 0.3)
    torch.testing.assert_close(low_pass(image, sigma_px), image)


def test_low_pass_gradient_is_the_identity_with_a_blurred_gradient():
    image = torch.rand(2, 3, 32, 32, generator=generator_at('image')).requires_grad_()
    slope = torch.randn(image.shape, generator=generator_at('slope'))
    result = LowPassGradient.apply(image, 1.0)
    assert torch.equal(result, image)
    (gradient,) = torch.autograd.grad(result, image, slope)
    assert torch.equal(gradient, low_pass(slope, 1.0))
    assert (gradient * slope).sum() > 0  # still a way down
    rough, smooth = (x.diff(dim=-1).norm() / x.norm() for x in (slope, gradient))
    assert smooth < 0.6 * rough
