import cv2
import numpy as np
import pytest
import torch

from iqasr.degradation import from_uint8
from iqasr.quality import NIQEScorer, QualityScorer
from iqasr.ranking import DISTORTIONS, examination_table, examine_scorer, examine_scorers
from iqasr.ranking.examination import detailed_crop, gradient_coverage
from iqasr.runtime.errors import DataError


class Nearness(QualityScorer):
    """Knows the photograph: minus the mean absolute difference to it, times a sign."""

    name, version, score_range, differentiable = 'nearness', '1', (-1.0, 0.0), True

    def __init__(self, photograph, sign=1):
        super().__init__()
        self.photograph, self.sign = photograph, sign

    def _score(self, image, reference=None):
        return -self.sign * (image - self.photograph).abs().mean((1, 2, 3))


@pytest.fixture(scope='module')
def crop(photographs):
    return from_uint8(torch.from_numpy(photographs[0]).permute(2, 0, 1)[None])


def test_scorer_that_knows_the_truth_is_perfect(crop):
    found = examine_scorer(Nearness(crop), [crop], DISTORTIONS)
    assert found.order == pytest.approx(dict.fromkeys(DISTORTIONS, 1.0))
    assert found.least == pytest.approx(dict.fromkeys(DISTORTIONS, 1.0))
    assert found.rewarded == 0
    assert found.genuine > 0
    assert found.attacked_photograph <= 0


def test_scorer_that_turns_the_truth_around_is_found_out(crop):
    found = examine_scorer(Nearness(crop, -1), [crop], DISTORTIONS)
    assert found.order == pytest.approx(dict.fromkeys(DISTORTIONS, -1.0))
    assert found.rewarded == 1
    assert found.genuine < 0


def test_attack_gain_is_in_standard_deviations(crop):
    # Every pixel of the enlargement moves towards the photograph by at most 2/255.
    found = examine_scorer(Nearness(crop), [crop], {'blur': DISTORTIONS['blur']})
    scaled = examine_scorer(Nearness(crop, 10), [crop], {'blur': DISTORTIONS['blur']})
    assert 0 < found.attacked < found.genuine
    assert scaled.attacked == pytest.approx(found.attacked, rel=1e-3)


def test_scorer_without_gradient_needs_a_surrogate(crop):
    with pytest.raises(ValueError, match='niqe has no gradient to attack along'):
        examine_scorer(NIQEScorer(), [crop], DISTORTIONS)


def test_gradient_coverage_is_the_share_of_pixels_that_matter(crop):
    class Corner(Nearness):
        def _score(self, image, reference=None):
            return image[..., :24, :48].mean((1, 2, 3))

    assert gradient_coverage(Corner(crop), [crop]) == pytest.approx(24 * 48 / 96**2)
    assert np.isnan(gradient_coverage(NIQEScorer(), [crop]))


def test_scorers_are_examined_by_name(photographs, tmp_path):
    for number, image in enumerate(photographs[:2]):
        cv2.imwrite(str(tmp_path / f'{number}.png'), image[..., ::-1])
    (ranker,) = examine_scorers(str(tmp_path), ['ranker'], reduce=1, size_px=64)
    assert ranker.coverage > 0.95
    assert 0 < ranker.seconds < 5
    refused = {'lpips': 'needs a reference', 'niqe': 'needs squares of 192', 'rankr': 'Did you'}
    for word, why in refused.items():
        with pytest.raises(ValueError, match=why):
            examine_scorers(str(tmp_path), [word], reduce=1, size_px=64)
    with pytest.raises(DataError, match='no photograph has 128 x 128 pixels'):
        examine_scorers(str(tmp_path), ['ranker'], reduce=1, size_px=128)


def test_table_has_a_column_per_kind(crop):
    kinds = {k: DISTORTIONS[k] for k in ('blur', 'noise')}
    header, _, row = examination_table([examine_scorer(Nearness(crop), [crop], kinds)]).splitlines()
    assert header.startswith('| scorer | blur | noise | over-sharpened above |')
    assert row.startswith('| nearness | 1.000 (1.00) | 1.000 (1.00) | 0% |')


def test_crop_is_the_most_detailed_square_and_whole(photographs):
    flat = photographs[0] * 0 + 128
    flat[48:, 48:] = photographs[0][48:, 48:]
    crop = detailed_crop(flat, 48)
    assert torch.equal(crop[0], from_uint8(torch.from_numpy(flat[48:, 48:]).permute(2, 0, 1)))
    assert detailed_crop(flat[:20], 48) is None
