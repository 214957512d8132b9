import pytest
import torch

from iqasr.ranking import attack
from iqasr.ranking.attack import differentiable_niqe
from iqasr.runtime.randomness import generator_at

WEIGHT = torch.randn(1, 3, 8, 8, generator=generator_at('weight'))


def linear(image):
    return (image * WEIGHT).sum((1, 2, 3))


@pytest.mark.parametrize('steps', [1, 10])
def test_attack_on_a_linear_quality_gains_epsilon_times_the_weights(steps):
    image = torch.full((1, 3, 8, 8), 0.5)
    attacked = attack(linear, image, epsilon=0.02, steps=steps)
    gain = (linear(attacked) - linear(image)).item()
    assert gain == pytest.approx(0.02 * WEIGHT.abs().sum().item(), rel=1e-4)


def test_attack_stays_in_range_and_near():
    image = torch.rand(2, 3, 8, 8, generator=generator_at(0)).round()
    attacked = attack(linear, image, epsilon=0.1, start=torch.full_like(image, 0.3))
    assert not attacked.requires_grad
    assert (attacked - image).abs().max() <= 0.1 + 1e-6
    assert attacked.min() >= 0
    assert attacked.max() <= 1


def test_attack_works_where_gradients_are_off():
    image = torch.full((1, 3, 8, 8), 0.5)
    with torch.no_grad():
        assert linear(attack(linear, image)) > linear(image)


def test_differentiable_niqe_has_a_gradient():
    image = torch.rand(1, 3, 192, 192, generator=generator_at(0)).requires_grad_()
    (gradient,) = torch.autograd.grad(differentiable_niqe()(image).sum(), image)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0
