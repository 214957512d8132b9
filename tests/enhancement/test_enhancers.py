"""Enhancers: networks in tiles, classical operators, and what a user may call them."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
import yaml
from basicsr.archs.srvgg_arch import SRVGGNetCompact
from safetensors.torch import save_file

from iqasr.degradation import BicubicDegradation
from iqasr.enhancement import (
    BilateralFilter,
    LocalContrast,
    NetworkEnhancer,
    NonLocalMeans,
    UnsharpMask,
)
from iqasr.enhancement.patches import difference
from iqasr.enhancement.recipe import build_recipes
from iqasr.runtime.errors import CheckpointError, OptionError
from iqasr.runtime.paths import packaged_weights, project_root

PHOTOGRAPH = np.ascontiguousarray(skimage.data.coffee()[100:170, 200:303])  # 70 x 103 px


def write_weights(tmp_path, scale, num_conv=3):
    torch.manual_seed(scale)
    network = SRVGGNetCompact(num_feat=8, num_conv=num_conv, upscale=scale)
    save_file(network.state_dict(), tmp_path / f'x{scale}.safetensors')
    return str(tmp_path / f'x{scale}.safetensors'), network.eval()


@pytest.mark.parametrize('scale', [1, 2, 4])
@pytest.mark.parametrize('batch', [1, 3])
def test_tiles_give_what_the_whole_photograph_does(tmp_path, scale, batch):
    weights, _ = write_weights(tmp_path, scale)  # sees 5 px each way
    whole = NetworkEnhancer(weights=weights, tile_px=1000).enhance(PHOTOGRAPH)
    tiles = NetworkEnhancer(weights=weights, tile_px=13, overlap_px=5, batch=batch)
    found = tiles.enhance(PHOTOGRAPH)
    assert found.shape == PHOTOGRAPH.shape
    assert found.dtype == np.uint8
    # Convolutions of another size sum in another order, which may tip a value at half a level.
    off = np.abs(found.astype(int) - whole)
    assert off.max() <= 1
    assert np.mean(off > 0) < 1e-3
    assert whole.std() > 5


def test_network_is_given_the_reduced_photograph(tmp_path):
    weights, network = write_weights(tmp_path, 2)
    even = np.ascontiguousarray(PHOTOGRAPH[:, :-1])
    image = torch.from_numpy(even).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        output = network(BicubicDegradation(scale=2)(image, torch.Generator()))
    expected = output[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(NetworkEnhancer(weights=weights).enhance(even), expected)


def test_less_reduction_before_means_more_after(tmp_path):
    weights, network = write_weights(tmp_path, 4)
    even = np.ascontiguousarray(PHOTOGRAPH[:, :-1])
    image = torch.from_numpy(even).permute(2, 0, 1)[None] / 255
    half, none = BicubicDegradation(scale=2), torch.Generator()
    with torch.no_grad():
        output = half(network(half(image, none)), none)
    expected = output[0].mul(255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(NetworkEnhancer(weights=weights, reduce=2).enhance(even), expected)
    assert NetworkEnhancer(weights=weights, reduce=1).enhance(PHOTOGRAPH).shape == PHOTOGRAPH.shape
    with pytest.raises(ValueError, match=r'reduce is 3; use a divisor of 4'):
        NetworkEnhancer(weights=weights, reduce=3)


def test_option_file_and_weights_name_the_same_network():
    options = NetworkEnhancer(weights=str(project_root() / 'options/test/compact_x4.yml'))
    weights = NetworkEnhancer(weights=str(packaged_weights('compact_x4.safetensors')))
    assert options.scale == weights.scale == 4
    assert options.version == weights.version
    assert np.array_equal(options.enhance(PHOTOGRAPH), weights.enhance(PHOTOGRAPH))
    assert difference(PHOTOGRAPH, weights.enhance(PHOTOGRAPH)) < 8


def test_network_that_cannot_be_used_is_named(tmp_path):
    torch.save({'fc.weight': torch.ones(3, 3)}, tmp_path / 'linear.pth')
    with pytest.raises(ValueError, match=r'linear\.pth: no architecture.*1 weights: fc'):
        NetworkEnhancer(weights=str(tmp_path / 'linear.pth'))
    (tmp_path / 'broken.pth').write_bytes(b'no weights')
    with pytest.raises(CheckpointError, match=r'broken\.pth: cannot be read'):
        NetworkEnhancer(weights=str(tmp_path / 'broken.pth'))
    options = yaml.safe_load((project_root() / 'options/test/compact_x4.yml').read_text())
    (tmp_path / 'x2.yml').write_text(yaml.safe_dump(options | {'scale': 2}))
    with pytest.raises(ValueError, match='enlarges 4 times, but scale is 2'):
        NetworkEnhancer(weights=str(tmp_path / 'x2.yml'))


def laplacian(image):
    return cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_64F).std()


def test_operators_do_what_they_are_named_for():
    assert laplacian(UnsharpMask().enhance(PHOTOGRAPH)) > 1.3 * laplacian(PHOTOGRAPH)
    assert LocalContrast().enhance(PHOTOGRAPH).std() > PHOTOGRAPH.std()
    noise = np.random.default_rng(0).normal(0, 6, PHOTOGRAPH.shape)
    noisy = (PHOTOGRAPH + noise).clip(0, 255).astype(np.uint8)
    for denoiser in (NonLocalMeans(strength=6), BilateralFilter(sigma_levels=25)):
        assert difference(denoiser.enhance(noisy), PHOTOGRAPH) < 0.8 * difference(noisy, PHOTOGRAPH)


@pytest.mark.parametrize('operator', [UnsharpMask, LocalContrast, NonLocalMeans, BilateralFilter])
def test_operators_keep_size_and_leave_the_photograph_alone(operator):
    before = PHOTOGRAPH.copy()
    enhanced = operator().enhance(PHOTOGRAPH)
    assert (enhanced.shape, enhanced.dtype) == (PHOTOGRAPH.shape, np.uint8)
    assert np.array_equal(PHOTOGRAPH, before)


def test_recipe_applies_its_steps_in_turn(tmp_path):
    chain, plain = build_recipes(
        ['[BilateralFilter, {type: UnsharpMask, amount: 2}]', 'UnsharpMask']
    )
    expected = UnsharpMask(amount=2).enhance(BilateralFilter().enhance(PHOTOGRAPH))
    assert np.array_equal(chain(PHOTOGRAPH), expected)
    assert chain.name == 'BilateralFilter + UnsharpMask'
    assert plain.description == [{'type': 'UnsharpMask', 'version': '1'}]
    weights, _ = write_weights(tmp_path, 1)
    (network,) = build_recipes([weights])
    assert network.description[0]['weights'] == 'x1.safetensors'
    assert len(network.description[0]['version']) == 32


def test_everything_wrong_with_enhancers_is_reported_at_once():
    words = ['UnsharpMsk', '{type: UnsharpMask, amont: 2}', '{type: LocalContrast, tiles: many}']
    with pytest.raises(OptionError) as caught:
        build_recipes(words)
    for part in ("Did you mean 'UnsharpMask'?", "Did you mean 'amount'?", 'valid integer'):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    'word', ['{type: UnsharpMask, amount: 0}', '{type: BilateralFilter, sigma_px: -1}']
)
def test_options_out_of_range_are_refused(word):
    with pytest.raises(ValueError, match='use a number above 0'):
        build_recipes([word])


def test_command_refuses_with_a_message(tmp_path):
    script = Path(project_root(), 'scripts', 'enhance_candidates.py')
    flags = ['-i', str(tmp_path), '-o', str(tmp_path / 'set'), '--enhancers', 'UnsharpMask']
    done = subprocess.run([sys.executable, str(script), *flags], capture_output=True, text=True)
    assert done.returncode == 2
    assert 'holds no image' in done.stderr
    assert 'Traceback' not in done.stderr


def test_shipped_option_file_trains_and_resumes(candidate_options, train, weights_of, same_weights):
    options = yaml.safe_load((project_root() / 'options/train/enhance_x1.yml').read_text())
    options['datasets']['train'] |= {
        'dataroot_gt': candidate_options['datasets']['train']['dataroot_gt'],
        'gt_size': 32, 'margin': 16, 'batch_size_per_gpu': 2,
        'num_worker_per_gpu': 0, 'pin_memory': False, 'queue_size': 4,
    }  # fmt: skip
    del options['train']['perceptual_opt']  # its weights are a download
    options['network_d']['num_feat'] = 4
    options |= {
        'network_g': {'type': 'SRVGGNetCompact', 'num_feat': 8, 'num_conv': 2, 'upscale': 1},
        'num_gpu': 0, 'path': candidate_options['path'],
        'logger': {'print_freq': 10, 'save_checkpoint_freq': 10, 'use_tb_logger': False},
    }  # fmt: skip
    options['train']['total_iter'] = 20
    assert train(options) == 0
    whole = weights_of(options, 20)
    options['name'] = 'resumed'
    options['train']['total_iter'] = 10
    assert train(options) == 0
    options['train']['total_iter'] = 20
    assert train(options, '--auto_resume') == 0
    same_weights(whole, weights_of(options, 20))
