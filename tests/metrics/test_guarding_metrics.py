"""Metrics that show gaming: LR-consistency, high frequencies, distance to the base, worst tile."""

import math

import cv2
import numpy as np
import pytest
import torch
from basicsr.utils.matlab_functions import imresize

from iqasr.metrics import build_metric
from iqasr.quality import QualityScorer
from iqasr.registry import SCORER_REGISTRY


def value(kind, images, **options):
    return build_metric('m', {'type': kind} | options)(images)


@pytest.fixture
def photograph(photographs):
    return np.ascontiguousarray(photographs[0][..., ::-1])


def test_lr_psnr_is_that_of_the_matlab_reduction(photograph):
    reduced = imresize(photograph / 255.0, 1 / 4) * 255
    lq = np.full((24, 24, 3), 100, np.uint8)
    expected = 10 * math.log10(255**2 / ((reduced.clip(0, 255) - lq) ** 2)[2:-2, 2:-2].mean())
    found = value('calculate_lr_psnr', {'img': photograph, 'lq': lq}, crop_border=2)
    assert found == pytest.approx(expected, abs=1e-4)


def test_lr_psnr_falls_with_every_change_of_the_content(photograph):
    lq = (imresize(photograph / 255.0, 1 / 4) * 255).round().clip(0, 255).astype(np.uint8)
    blurred = cv2.GaussianBlur(photograph, (0, 0), 2)
    brighter = photograph.clip(0, 235) + np.uint8(20)
    found = [
        value('calculate_lr_psnr', {'img': image, 'lq': lq})
        for image in (photograph, blurred, brighter)
    ]
    assert found[0] > 55  # all that is left is the rounding of the input
    assert max(found[1:]) < 40


def waves(*amplitudes_by_frequency):
    x = np.arange(128)
    wave = sum(a * np.cos(2 * np.pi * f * x) for a, f in amplitudes_by_frequency)
    grey = np.broadcast_to(128 + wave, (128, 128)).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ('image', 'share'),
    [
        (waves((80, 0.125)), 0.0),
        (waves((80, 0.375)), 1.0),
        (waves((30, 0.375), (60, 0.125)), 0.2),  # 30^2 / (30^2 + 60^2)
    ],
)
def test_high_frequency_share_of_waves(image, share):
    for turned in (image, image.transpose(1, 0, 2)):
        found = value('calculate_high_frequency', {'img': turned})
        assert found == pytest.approx(share, abs=5e-3)


def test_high_frequency_share_of_white_noise_is_that_of_the_area():
    noise = np.random.default_rng(0).normal(128, 30, (256, 256, 1)).clip(0, 255)
    image = noise.astype(np.uint8).repeat(3, axis=2)
    found = value('calculate_high_frequency', {'img': image})
    assert found == pytest.approx(1 - math.pi / 16, abs=0.01)


def test_high_frequency_falls_with_blur_and_has_no_better_direction(photograph):
    metric = build_metric('m', {'type': 'calculate_high_frequency', 'crop_border': 4})
    blurred = cv2.GaussianBlur(photograph, (0, 0), 1)
    assert metric({'img': blurred}) < metric({'img': photograph}) / 2
    assert (metric.better, metric.arrow) == (None, '')
    assert math.isnan(metric({'img': np.full_like(photograph, 128)}))


def test_base_distance_is_the_mean_absolute_difference():
    base = np.full((4, 4, 3), 100, np.uint8)
    img = base.copy()
    img[1, 1], img[2, 2], img[0, 0] = 112, 88, 0
    metric = build_metric('m', {'type': 'calculate_base_distance', 'crop_border': 1})
    assert metric({'img': img, 'base': base}) == 24 / 4
    assert metric.better == 'lower'


@SCORER_REGISTRY.register()
class DarknessScorer(QualityScorer):
    """Published as brightness, lower is better; black images have no score."""

    name, version, lower_better, min_size = 'darkness', '1', True, 4

    def _score(self, image, reference=None):
        mean = image.mean((1, 2, 3))
        return mean.where(mean > 0, torch.nan)


def darkness(image, tile_px=8, **options):
    section = {'scorer': {'type': 'DarknessScorer'}, 'tile_px': tile_px}
    return value('calculate_worst_tile', {'img': image}, **section, **options)


def test_worst_tile_is_found_in_published_units_wherever_it_is():
    for y, x in ((0, 0), (7, 3), (16, 12)):
        image = np.full((20, 20, 3), 51, np.uint8)
        image[y : y + 4, x : x + 4] = 255
        found = darkness(image)
        tiles = [image[a : a + 8, b : b + 8].mean() / 255 for a in (0, 6, 12) for b in (0, 6, 12)]
        assert found == pytest.approx(max(tiles), abs=1e-6)
        assert found > image.mean() / 255


def test_tile_without_a_score_is_passed_over():
    image = np.zeros((8, 16, 3), np.uint8)
    assert math.isnan(darkness(image))
    image[:, 8:] = 51
    assert darkness(image) == pytest.approx(0.2)


def test_image_smaller_than_a_tile_is_one():
    assert darkness(np.full((5, 6, 3), 51, np.uint8)) == pytest.approx(0.2)


def test_worst_tile_below_the_scorer_s_size_is_refused():
    with pytest.raises(ValueError, match='tile_px 3 is too small for darkness, which needs 4'):
        darkness(np.zeros((8, 8, 3), np.uint8), tile_px=3)


def test_checkerboard_shows_dots_of_its_period(photographs):
    photograph = np.hstack([image[..., ::-1] for image in photographs[:5]]) // 2
    dotted = photograph.copy()
    dotted[2::4, 1::4] += 3
    found = [value('calculate_checkerboard', {'img': x}, period=4) for x in (photograph, dotted)]
    assert found[0] < 0.25
    # A dot of 3 levels in one of 16 places, of 219 levels of luma for 255.
    assert found[1] - found[0] == pytest.approx(3 * 219 / 255 * 15**0.5 / 16, abs=0.25)
    grey = np.full((64, 64, 3), 100, np.uint8)
    grey[2::4, 1::4] += 3
    assert value('calculate_checkerboard', {'img': grey}, period=4) == pytest.approx(0.62, abs=0.03)
    assert value('calculate_checkerboard', {'img': grey}, period=3) < 0.03
    single = {'img': grey[..., :1]}  # of more contrast than its luma
    assert value('calculate_checkerboard', single, period=4) == pytest.approx(0.72, abs=0.03)
    assert value('calculate_checkerboard', {'img': grey}, period=1) == 0
    with pytest.raises(ValueError, match='period is 0'):
        value('calculate_checkerboard', {'img': grey}, period=0)
