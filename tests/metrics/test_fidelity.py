"""PSNR, SSIM and NIQE against BasicSR's functions."""

import itertools
import math

import basicsr.metrics
import cv2
import numpy as np
import pytest
import skimage.data
from basicsr.metrics.metric_util import to_y_channel

from iqasr.checking.check import load_options
from iqasr.metrics import build_metric, calculate_niqe, calculate_psnr, calculate_ssim
from iqasr.runtime.errors import OptionError
from iqasr.runtime.luma import luma_of

PHOTOGRAPH = np.ascontiguousarray(skimage.data.astronaut()[:203, 100:309, ::-1])


def versions():
    noise = np.random.default_rng(0).normal(0, 8, PHOTOGRAPH.shape)
    flat = PHOTOGRAPH.copy()
    flat[:150], flat[:, :80] = 255, (13, 77, 201)
    return {
        'noisy': (PHOTOGRAPH + noise).clip(0, 255).astype(np.uint8),
        'blurred': cv2.GaussianBlur(PHOTOGRAPH, (0, 0), 2),
        'inverted': 255 - PHOTOGRAPH,
        'brighter': PHOTOGRAPH // 2 + 127,
        'partly flat': flat,
        'black': np.zeros_like(PHOTOGRAPH),
    }


@pytest.mark.parametrize('luma', [False, True])
@pytest.mark.parametrize('border', [0, 4])
@pytest.mark.parametrize('kind', ['psnr', 'ssim'])
def test_equals_basicsr(kind, border, luma):
    section = {'type': f'calculate_{kind}', 'crop_border': border, 'test_y_channel': luma}
    metric = build_metric('m', section)
    assert metric.better == 'higher'
    for image in versions().values():
        expected = getattr(basicsr.metrics, f'calculate_{kind}')(
            image, PHOTOGRAPH, border, test_y_channel=luma
        )
        assert metric({'img': image, 'img2': PHOTOGRAPH}) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize('border', [0, 4])
def test_niqe_equals_basicsr(border):
    metric = build_metric('m', {'type': 'calculate_niqe', 'crop_border': border})
    assert metric.better == 'lower'
    for name in ('noisy', 'blurred', 'partly flat'):
        image = versions()[name]
        expected = basicsr.metrics.calculate_niqe(image, border)
        assert metric({'img': image}) == pytest.approx(expected, abs=1e-6)


def test_luma_equals_basicsr_to_the_bit():
    assert np.array_equal(luma_of(PHOTOGRAPH), to_y_channel(PHOTOGRAPH)[..., 0])


def test_a_single_channel_is_its_own_luma():
    grey, other = (np.ascontiguousarray(image[..., :1]) for image in (PHOTOGRAPH, PHOTOGRAPH // 2))
    assert np.array_equal(luma_of(grey), to_y_channel(grey)[..., 0])
    assert calculate_niqe(grey, 4) == pytest.approx(basicsr.metrics.calculate_niqe(grey, 4))
    for kind in ('psnr', 'ssim'):
        metric = build_metric('m', {'type': f'calculate_{kind}', 'crop_border': 4})
        on_luma = build_metric(
            'm', {'type': f'calculate_{kind}', 'crop_border': 4, 'test_y_channel': True}
        )
        images = {'img': grey, 'img2': other}
        assert on_luma(images) == pytest.approx(metric(images), rel=1e-6)


def test_large_image_in_several_tiles_equals_basicsr():
    image = np.random.default_rng(0).integers(0, 256, (150, 600, 3), dtype=np.uint8)
    other = cv2.GaussianBlur(image, (0, 0), 1)
    expected = basicsr.metrics.calculate_ssim(image, other, 0)
    assert calculate_ssim(image, other, 0) == pytest.approx(expected, abs=1e-7)


def test_flat_areas_of_any_contrast_equal_basicsr():
    rows, columns = np.mgrid[:150, :170]
    levels = [(rows // 31 + columns // 23) % 2 * 255, columns % 97 // 48 * 255, 200 + 0 * rows]
    images = [np.repeat(level[..., None], 3, axis=2).astype(np.uint8) for level in levels]
    for image, other in itertools.combinations([*images, 255 - images[0]], 2):
        expected = basicsr.metrics.calculate_ssim(image, other, 0)
        assert calculate_ssim(image, other, 0) == pytest.approx(expected, abs=1e-6)


def test_equal_images_are_perfect():
    assert calculate_psnr(PHOTOGRAPH, PHOTOGRAPH, 4) == math.inf
    assert calculate_ssim(PHOTOGRAPH, PHOTOGRAPH, 4) == pytest.approx(1, abs=1e-12)


def test_images_that_differ_in_size_or_are_too_small_are_refused():
    with pytest.raises(ValueError, match=r'\(203, 209\) and \(203, 208\)'):
        calculate_psnr(PHOTOGRAPH, PHOTOGRAPH[:, 1:], 4)
    with pytest.raises(ValueError, match='11 x 11 px inside the border'):
        calculate_ssim(PHOTOGRAPH[:18], PHOTOGRAPH[:18], 4)
    with pytest.raises(ValueError, match='two blocks of 96 x 96 px'):
        calculate_niqe(PHOTOGRAPH[:190, :195], 4)


@pytest.mark.parametrize(
    'kind', ['psnr', 'ssim', 'niqe', 'lr_psnr', 'base_distance', 'high_frequency']
)
def test_border_that_leaves_nothing_is_refused(kind):
    image = PHOTOGRAPH[:20, :64]
    metric = build_metric('m', {'type': f'calculate_{kind}', 'crop_border': 10})
    message = 'crop_border 10 leaves nothing of an image of 20x64 pixels; make it smaller'
    with pytest.raises(ValueError, match=message):
        metric({'img': image, 'img2': image, 'lq': image, 'base': image})


def test_border_that_leaves_one_row_is_kept():
    image, other = PHOTOGRAPH[:21, :64], PHOTOGRAPH[20:41, :64]
    row, of_other = image[10:11, 10:-10], other[10:11, 10:-10]
    expected = 10 * math.log10(255**2 / np.mean((row.astype(float) - of_other) ** 2))
    assert calculate_psnr(image, other, 10) == pytest.approx(expected)


def test_arguments_of_stock_option_files_are_taken(paired_options, write_options):
    metrics = paired_options['val']['metrics']
    metrics['psnr']['input_order'] = 'HWC'
    metrics['niqe'] = {
        'type': 'calculate_niqe',
        'crop_border': 4,
        'input_order': 'HWC',
        'convert_to': 'y',
    }
    checked = load_options(write_options(paired_options)).val.metrics
    assert build_metric('niqe', checked['niqe']).better == 'lower'
    metrics['psnr']['input_order'] = 'CHW'
    with pytest.raises(OptionError, match='input_order'):
        load_options(write_options(paired_options))
