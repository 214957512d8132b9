"""The packaged ranker, on photographs that it was not trained on (chelsea, rocket)."""

import re

import pytest
import skimage.data
import torch

from iqasr.degradation import from_uint8
from iqasr.quality import RankerScorer, run_self_test
from iqasr.quality.ranker import detail_statistics
from iqasr.ranking import DISTORTIONS, examine_scorer
from iqasr.ranking.distortions import resample
from iqasr.ranking.examination import FOURFOLD
from iqasr.registry import SCORER_REGISTRY, build
from iqasr.runtime.errors import MissingWeightsError
from iqasr.runtime.paths import packaged_weights
from iqasr.runtime.randomness import generator_at


@pytest.fixture(scope='module')
def ranker():
    return build(SCORER_REGISTRY, {'type': 'RankerScorer'})


@pytest.fixture(scope='module')
def crops():
    places = [(skimage.data.chelsea(), 60, 120), (skimage.data.rocket(), 120, 200)]
    pieces = [torch.from_numpy(image[y : y + 192, x : x + 192].copy()) for image, y, x in places]
    return [from_uint8(piece.permute(2, 0, 1)[None]) for piece in pieces]


def test_packaged_file_is_small(ranker):
    assert packaged_weights('ranker.safetensors').stat().st_size < 2_000_000


def test_examination_on_unseen_photographs(ranker, crops):
    found = examine_scorer(ranker, crops, DISTORTIONS)
    assert min(found.order.values()) >= 0.9
    assert found.rewarded <= 0.125
    assert found.attacked < 0.6 * found.genuine
    assert found.attacked_photograph < 0.1 * found.genuine


@pytest.mark.parametrize('side', [48, 61, 192])
def test_quality_is_that_of_the_network_and_every_pixel_has_a_gradient(ranker, crops, side):
    image = crops[0][..., :side, :side].clone().requires_grad_()
    quality = ranker(image)
    (gradient,) = torch.autograd.grad(quality.sum(), image)
    assert quality.item() == pytest.approx(ranker.network(image).item(), rel=1e-5)
    assert (gradient != 0).float().mean() > 0.99


def test_quality_is_detail_less_damage(ranker, crops):
    with torch.no_grad():
        network, image = ranker.network, torch.cat(crops)
        detail = detail_statistics(image) @ network.detail.weight[0] + network.detail.bias
        damage = torch.log1p(network.damage_map(image).exp()).mean((1, 2))
    assert (damage > 0).all()
    assert ranker(image).tolist() == pytest.approx((detail - damage).tolist(), abs=1e-4)


def test_self_test_passes(ranker):
    assert run_self_test(ranker, 96).gain > 0


def test_batch_scores_as_its_images_do(ranker, crops):
    both = torch.cat([crop[..., :96, :96] for crop in crops])
    assert torch.allclose(ranker(both), torch.cat([ranker(both[:1]), ranker(both[1:])]), atol=1e-5)


def test_mirrored_image_is_about_as_good(ranker, crops):
    assert ranker(crops[0].flip(-1)).item() == pytest.approx(ranker(crops[0]).item(), abs=0.4)


def test_scale_is_open_at_both_ends(ranker, crops):
    """Quality of a photograph and of it fourfold enlarged; 4 is mapped to 1, -4 to 0, linearly."""
    enlarged = resample(crops[0], FOURFOLD, generator_at(0))
    quality = ranker(torch.cat([crops[0], enlarged]))
    assert quality.tolist() == pytest.approx([6.253, -1.787], abs=0.3)
    assert ranker.normalise(quality).tolist() == pytest.approx(((quality + 4) / 8).tolist())
    assert ranker.normalise(quality)[0] > 1


def test_images_below_48_pixels_are_refused(ranker):
    with pytest.raises(ValueError, match='ranker: the image has 47x60 pixels'):
        ranker(torch.rand(1, 3, 47, 60, generator=generator_at(0)))


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(
        MissingWeightsError, match=r'RankerScorer: weights: .*none.safetensors does not exist'
    ):
        RankerScorer(str(tmp_path / 'none.safetensors'))


def test_file_of_something_else_is_refused():
    with pytest.raises(ValueError, match=r'compact_x4.safetensors: holds no ranker'):
        RankerScorer(str(packaged_weights('compact_x4.safetensors')))


def test_version_follows_the_weights(ranker):
    assert ranker.version == RankerScorer().version
    assert re.fullmatch('iqasr detail [0-9a-f]{8}', ranker.version)
