import pytest
import torch
from basicsr.utils.matlab_functions import imresize

from iqasr.degradation import BicubicDegradation
from iqasr.runtime.randomness import generator_at


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_bicubic_agrees_with_matlab_up_to_the_borders(scale):
    image = torch.rand(1, 3, 12 * scale, 17 * scale, generator=torch.Generator().manual_seed(0))
    given = BicubicDegradation(scale=scale).degrade(image, (12, 17), generator_at(0))
    expected = imresize(image[0], 1 / scale)
    torch.testing.assert_close(given[0], expected, rtol=0, atol=2e-6)


def test_bicubic_of_an_image_smaller_than_its_kernel_keeps_a_constant():
    image = torch.full((1, 3, 4, 8), 51 / 255)
    given = BicubicDegradation(scale=4)(image, generator_at(0))
    torch.testing.assert_close(given, torch.full((1, 3, 1, 2), 51 / 255))


def test_bicubic_draws_nothing(photograph):
    generator = generator_at(0)
    state = generator.get_state()
    BicubicDegradation(scale=4)(photograph, generator)
    assert torch.equal(generator.get_state(), state)
