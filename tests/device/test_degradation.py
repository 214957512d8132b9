"""Degradations and sharpening on a device."""

import pytest
import torch
from basicsr.utils.img_process_util import USMSharp
from devices import assert_near

from iqasr.degradation import BicubicDegradation, FirstOrderDegradation, SecondOrderDegradation
from iqasr.degradation.jpeg import diff_jpeg
from iqasr.degradation.noise import gaussian_noise, poisson_noise
from iqasr.runtime.randomness import fork, generator_at

pytestmark = pytest.mark.cuda

SILENT = {'gaussian_noise_prob': 1.0, 'noise_range': [0, 0]}
DEGRADATIONS = {
    'bicubic': lambda: BicubicDegradation(scale=4),
    'first order': lambda: FirstOrderDegradation(scale=4, stage=SILENT),
    'second order': lambda: SecondOrderDegradation(scale=4, first=SILENT, second=SILENT),
}


@pytest.fixture
def no_jpeg(monkeypatch):
    """Draw the qualities, but do not compress: where a coefficient is rounded, the last bit of an
    image decides."""
    monkeypatch.setattr('iqasr.degradation.stages.jpeg', lambda image, quality, method: image)


@pytest.mark.parametrize('place', range(4))
@pytest.mark.parametrize('name', DEGRADATIONS)
def test_all_but_noise_and_jpeg_is_that_of_the_cpu(name, place, images, device, no_jpeg):
    degradation, size = DEGRADATIONS[name](), (24, 24)
    generators = [generator_at('degradation', place) for _ in range(2)]
    expected = degradation.degrade(images, size, generators[0])
    found = degradation.degrade(images.to(device), size, generators[1])
    assert found.device.type == device.type
    assert_near(found, expected, atol=1e-4)
    assert torch.equal(generators[0].get_state(), generators[1].get_state()), 'other draws'
    first, second = (degradation(i, generator_at(place)).cpu() for i in (images, images.to(device)))
    levels = (255 * (first - second)).abs().round()
    assert levels.max() <= 1, f'{levels.max()} grey levels'
    assert (levels > 0).float().mean() < 0.01, 'more than 1 % of the pixels are rounded elsewhere'


@pytest.mark.parametrize('place', range(4))
@pytest.mark.parametrize('name', DEGRADATIONS)
def test_degraded_images_are_on_the_device_and_repeat(name, place, images, device):
    originals = images.to(device)
    kinds = {'first order': FirstOrderDegradation, 'second order': SecondOrderDegradation}
    degradation = kinds.get(name, BicubicDegradation)(scale=4)
    lq, again = (degradation(originals, generator_at(place)) for _ in range(2))
    assert lq.device == originals.device
    assert torch.equal(lq, again)
    assert 0 <= lq.min() < lq.max() <= 1
    # Blur, noise and compression leave the mean of an image nearly where it was.
    assert_near(lq.mean((2, 3)), images.mean((2, 3)), atol=0.08)


@pytest.mark.parametrize('gray', [False, True])
def test_gaussian_noise_is_that_of_the_cpu(gray, images, device):
    field = torch.randn(images.shape, generator=generator_at('field'))
    sigma, gray = torch.tensor([1.0, 5.0, 10.0, 30.0]), torch.tensor(4 * [gray])
    expected = gaussian_noise(images, sigma, gray, field)
    found = gaussian_noise(images.to(device), sigma, gray, field.to(device))
    assert_near(found, expected, atol=1e-6)


@pytest.mark.parametrize('gray', [False, True])
def test_poisson_noise_has_the_moments_of_the_cpu(gray, images, device):
    """The fields themselves are drawn on the device, by another generator."""
    scale, gray = torch.full((4,), 0.2), torch.tensor(4 * [gray])
    images = images.clamp(0.2, 0.8)
    noises = []
    for where in ('cpu', device):
        own = images.to(where)
        generator = fork(generator_at('poisson'), where)
        noises.append((poisson_noise(own, scale, gray, generator) - own).cpu())
    assert_near(noises[1].mean((1, 2, 3)), noises[0].mean((1, 2, 3)), atol=1e-3)
    assert_near(noises[1].std((1, 2, 3)), noises[0].std((1, 2, 3)), rtol=0.05)


def test_jpeg_has_the_errors_of_the_cpu(images, device):
    quality = torch.tensor([30.0, 60.0, 80.0, 95.0])
    expected = diff_jpeg(images, quality)
    found = diff_jpeg(images.to(device), quality).cpu()
    levels = torch.tensor([0.01, 0.25, 0.5, 0.75, 0.99])
    for image, own, theirs in zip(images, found, expected, strict=True):
        quantiles = [torch.quantile((x - image).flatten(), levels) for x in (own, theirs)]
        assert_near(*quantiles, atol=2e-3)
    assert_near(found.mean((1, 2, 3)), expected.mean((1, 2, 3)), atol=1e-4)
    differing = ((found - expected).abs() > 1e-3).float().mean()
    assert differing < 0.05, f'{differing:.1%} of the pixels differ by more than 1e-3'


def test_sharpening_is_that_of_the_cpu(images, device):
    expected = USMSharp()(images)
    found = USMSharp().to(device)(images.to(device))
    # The mask is 0 or 1 by a threshold, which the last bit may cross; it is blurred afterwards.
    assert_near(found, expected, atol=2e-3)
    assert (found.cpu() - expected).abs().mean() < 1e-5
