"""Metrics that are computed on a device."""

import pytest
import torch
from devices import assert_near

from iqasr.metrics import calculate_quality, calculate_worst_tile
from iqasr.registry import METRIC_REGISTRY, lookup
from iqasr.runtime.randomness import generator_at

pytestmark = pytest.mark.cuda


@pytest.mark.parametrize('luma', [False, True])
@pytest.mark.parametrize('name', ['calculate_psnr_pt', 'calculate_ssim_pt'])
def test_metrics_of_tensors_are_those_of_the_cpu(name, luma, images, device):
    metric = lookup(METRIC_REGISTRY, name)
    noise = torch.randn(images.shape, generator=generator_at('noise'))
    noisy = (images + 0.05 * noise).clamp(0, 1)
    how = {'crop_border': 4, 'test_y_channel': luma}
    expected = metric(noisy, images, **how)
    assert_near(metric(noisy.to(device), images.to(device), **how), expected, rtol=1e-5)


@pytest.mark.parametrize('scorer', ['RankerScorer', 'LPIPSScorer'])
def test_scorers_as_metrics_are_those_of_the_cpu(scorer, photographs, device, random_weights):
    for metric, more in ((calculate_quality, {}), (calculate_worst_tile, {'tile_px': 48})):
        img, img2, how = photographs[1], photographs[2], {'scorer': {'type': scorer}} | more
        expected = metric(img, img2, **how)
        found = metric(img, img2, device=str(device), **how)
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5), metric.__name__
