import pytest
import torch
from basicsr.data import degradations as basicsr

from iqasr.degradation.noise import gaussian_noise, photons_at_white, poisson_noise


def flags(*values):
    return torch.tensor(values)


def test_gaussian_noise_equals_basicsr_in_colour(photograph, monkeypatch):
    field = torch.randn(photograph.shape, generator=torch.Generator().manual_seed(1))
    sigma = torch.tensor([3.0, 11.0])
    monkeypatch.setattr(torch, 'randn', lambda *_, **__: field)
    expected = basicsr.add_gaussian_noise_pt(photograph, sigma, gray_noise=0)
    assert torch.equal(gaussian_noise(photograph, sigma, flags(False, False), field), expected)


def test_gaussian_noise_equals_basicsr_in_grey(photograph, monkeypatch):
    image = photograph[:1]
    field = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    fields = {2: field[0, 0], 4: field}
    monkeypatch.setattr(torch, 'randn', lambda *size, **_: fields[len(size)])
    sigma, one = torch.tensor([7.0]), torch.tensor([1.0])
    expected = basicsr.add_gaussian_noise_pt(image, sigma, gray_noise=one)
    assert torch.equal(gaussian_noise(image, sigma, flags(True), field), expected)


@pytest.mark.parametrize('gray', [(False, False), (True, True), (True, False)])
def test_poisson_noise_equals_basicsr(photograph, monkeypatch, gray):
    image = photograph.clone()
    image[1] = (image[1] * 9).floor() / 9  # few grey levels, thus few photons
    image[0] += 0.07  # brighter than white here and there, as after bicubic resizing
    # a stand-in for the draw that both sides share, neither linear nor the identity
    monkeypatch.setattr(torch, 'poisson', lambda rate, **_: (1.1 * rate + rate.sin()).round())
    scale = torch.tensor([0.8, 2.5])
    expected = basicsr.add_poisson_noise_pt(image, scale, gray_noise=torch.tensor(gray).float())
    given = poisson_noise(image, scale, flags(*gray), None)
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-7)


def test_photons_are_the_used_grey_levels_rounded_up_to_a_power_of_two():
    levels = [1, 2, 3, 4, 5, 128, 129, 256]
    images = torch.stack([(torch.arange(768) % n).view(3, 16, 16) / 255 for n in levels])
    expected = [1, 2, 4, 4, 8, 128, 256, 256]
    assert photons_at_white(images).flatten().tolist() == expected


def test_gaussian_noise_has_the_stated_deviation():
    image = torch.full((2, 3, 64, 64), 0.5)
    field = torch.randn(image.shape, generator=torch.Generator().manual_seed(2))
    noisy = gaussian_noise(image, torch.tensor([2.0, 12.0]), flags(False, True), field)
    spread = (noisy - image).std((1, 2, 3)) * 255
    assert spread.tolist() == pytest.approx([2.0, 12.0], rel=0.05)


def test_poisson_noise_variance_grows_with_brightness():
    ramp = torch.arange(256.0).div(255).view(1, 1, 256, 1).expand(1, 3, 256, 64)
    half = poisson_noise(ramp, torch.tensor([0.5]), flags(False), torch.Generator().manual_seed(3))
    # 256 photons at white: variance of the noise is 0.5 ** 2 * brightness / 256
    measured = (half - ramp)[0, :, 30:200].var((0, 2)) / ramp[0, 0, 30:200, 0]
    assert measured.mean().item() == pytest.approx(0.25 / 256, rel=0.05)


@pytest.mark.parametrize('noise', ['gaussian', 'poisson'])
def test_grey_noise_is_equal_in_all_channels_and_differs_between_images(noise):
    image = torch.full((3, 3, 32, 32), 0.5)
    gray, level = flags(True, True, False), torch.ones(3)
    generator = torch.Generator().manual_seed(4)
    if noise == 'gaussian':
        field = torch.randn(image.shape, generator=generator)
        noisy = gaussian_noise(image, level, gray, field)
    else:
        noisy = poisson_noise(image, level, gray, generator)
    assert torch.equal(noisy[:2, 0], noisy[:2, 1])
    assert torch.equal(noisy[:2, 0], noisy[:2, 2])
    assert not torch.equal(noisy[0], noisy[1])
    assert not torch.equal(noisy[2, 0], noisy[2, 1])
