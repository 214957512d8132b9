"""Which photographs are left out, and why."""

import cv2
import numpy as np
import pytest
import skimage.data

from iqasr.enhancement.selection import (
    PhotographMeasures,
    SelectionRules,
    fingerprint,
    measure_photograph,
    select_left_out,
)
from iqasr.enhancement.settings import EnhancementSettings
from iqasr.quality import QualityScorer

ASTRONAUT, COFFEE = skimage.data.astronaut(), skimage.data.coffee()


def distance(first, second):
    return (int(fingerprint(first), 16) ^ int(fingerprint(second), 16)).bit_count()


def compressed(image, quality):
    return cv2.imdecode(cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)


@pytest.mark.parametrize(
    'version',
    [
        cv2.resize(ASTRONAUT, (200, 200), interpolation=cv2.INTER_AREA),
        compressed(ASTRONAUT, 30),
        cv2.GaussianBlur(ASTRONAUT, (0, 0), 2),
        cv2.convertScaleAbs(ASTRONAUT, alpha=0.9, beta=10),
        np.ascontiguousarray(ASTRONAUT[6:-6, 6:-6]),
    ],
    ids=['smaller', 'compressed', 'blurred', 'brighter', 'cropped'],
)
def test_fingerprint_survives_what_leaves_the_picture_the_same(version):
    assert distance(ASTRONAUT, version) <= 6


def test_fingerprint_tells_pictures_apart():
    assert distance(ASTRONAUT, COFFEE) > 16
    assert distance(ASTRONAUT, np.ascontiguousarray(ASTRONAUT[:, ::-1])) > 16


def test_each_fault_is_found_with_its_figure():
    faults = {
        'good': ASTRONAUT,
        'thumbnail': cv2.resize(ASTRONAUT, (300, 300), interpolation=cv2.INTER_AREA),
        'blurred': cv2.GaussianBlur(COFFEE, (0, 0), 3),
        'flat': (COFFEE // 16 + 100).astype(np.uint8),
        'small': np.ascontiguousarray(COFFEE[:100, :200]),
    }
    examined = {name: measure_photograph(image, name) for name, image in faults.items()}
    found = select_left_out(examined, SelectionRules(least_side_px=128))
    assert {name: kind for name, (kind, _) in found.items()} == {
        'thumbnail': 'near-duplicate',
        'blurred': 'blurred',
        'flat': 'flat',
        'small': 'small',
    }
    assert found['thumbnail'][1].endswith('of 64 bits from good')
    assert found['small'][1] == '200 x 100 px, needs 128 each way'


def test_largest_of_near_duplicates_stays_whatever_its_name():
    def seen(height, bits):
        return PhotographMeasures(height, 100, 50.0, 50.0, f'{bits:016x}')

    examined = {'a': seen(10, 0), 'b': seen(30, 0b111), 'c': seen(20, 0b111111111)}
    assert select_left_out(examined, SelectionRules(most_alike_bits=6)) == {
        'a': ('near-duplicate', '3 of 64 bits from b'),
        'c': ('near-duplicate', '6 of 64 bits from b'),
    }
    assert set(select_left_out(examined, SelectionRules(most_alike_bits=5))) == {'a'}
    assert select_left_out(examined, SelectionRules(most_alike_bits=-1)) == {}


class Brightness(QualityScorer):
    name, version, score_range = 'brightness', '1', (0.0, 1.0)

    def _score(self, image, reference=None):
        return image.mean((1, 2, 3))


def test_scorer_refuses_by_its_threshold():
    level = COFFEE[:512, :512].mean() / 255
    examined = {'coffee': measure_photograph(COFFEE, 'coffee', Brightness())}
    assert examined['coffee'].quality == pytest.approx(level, abs=0.15)
    quality = examined['coffee'].quality
    assert select_left_out(examined, SelectionRules(least_quality=quality - 0.01)) == {}
    (fault,) = select_left_out(examined, SelectionRules(least_quality=quality + 0.01)).values()
    assert fault[0] == 'low quality'


def test_scorer_and_threshold_belong_together():
    with pytest.raises(ValueError, match='belong together'):
        EnhancementSettings([], selection=SelectionRules(least_quality=0.5))
