import pytest
import torch
import torch.nn.functional as F
from torch import nn

from iqasr.degradation import from_uint8
from iqasr.ranking import DISTORTIONS, Restoration, Tuning, make_ladder
from iqasr.runtime.randomness import generator_at

SEVERITIES = [0.0, 0.25, 0.5, 0.75, 1.0]


@pytest.fixture(scope='module')
def images(photographs):
    pixels = torch.stack([torch.from_numpy(photographs[i]) for i in (0, 5)])
    return from_uint8(pixels.permute(0, 3, 1, 2))


@pytest.fixture(scope='module')
def network():
    class Nearest(nn.Module):
        def forward(self, lq):
            return F.interpolate(lq, scale_factor=4)

    return Nearest()


@pytest.mark.parametrize('kind', DISTORTIONS)
def test_every_version_is_further_from_the_photograph(images, kind):
    ladder = make_ladder(images, DISTORTIONS[kind], SEVERITIES, generator_at('ladder'))
    distance = (ladder - images[:, None]).square().mean((2, 3, 4))
    assert ladder.shape == (2, 5, 3, 96, 96)
    assert torch.equal(ladder[:, 0], images)
    assert (distance.diff() > 0).all()


@pytest.mark.parametrize('kind', DISTORTIONS)
def test_versions_hold_eight_bits_in_range(images, kind):
    ladder = make_ladder(images, DISTORTIONS[kind], [0.3], generator_at(0))
    levels = ladder * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    assert ladder.min() >= 0
    assert ladder.max() <= 1


def test_versions_share_their_draws(images):
    grey = torch.full_like(images[:1], 0.5)
    weak, strong = make_ladder(grey, DISTORTIONS['noise'], [0.2, 0.3], generator_at(1))[0] - 0.5
    cosine = F.cosine_similarity(weak.flatten(), strong.flatten(), 0)
    assert cosine > 0.98


def test_another_place_gives_another_pattern(images):
    one, other = (
        make_ladder(images, DISTORTIONS['pattern'], [0.5], generator_at(place)) for place in (1, 2)
    )
    assert not torch.equal(one, other)


def test_restoration_goes_from_photograph_by_output_to_bicubic(images, network):
    start, middle, end = make_ladder(
        images, Restoration(network).distort, [0, 0.5, 1], generator_at(0)
    )[0]
    lq = F.interpolate(images[:1], scale_factor=0.25, mode='bicubic', antialias=True)
    lq = lq.clamp(0, 1).mul(255).round().div(255)
    bicubic = F.interpolate(lq, scale_factor=4, mode='bicubic', antialias=True).clamp(0, 1)
    assert torch.equal(start, images[0])
    assert torch.allclose(middle, network(lq)[0], atol=1e-6)
    assert torch.allclose(end, bicubic[0], atol=0.51 / 255)


def test_ladder_over_an_output_by_hand(images, network):
    restoration, photograph = Restoration(network), images[:1]
    outputs = []
    for place in range(12):
        ladder, severity = restoration.ladder(
            photograph, DISTORTIONS['blur'], [0.0, 0.5, 1.0], generator_at(place)
        )
        assert ladder.shape == (5, 3, 96, 96)
        assert torch.equal(ladder[0], photograph[0])
        # The mixture is as far on the way to the output as its severity says.
        share = severity[1] / severity[2]
        assert torch.allclose(ladder[1], torch.lerp(ladder[0], ladder[2], share), atol=1 / 255)
        assert severity == pytest.approx([0, 0.3 * share, 0.3, 0.65, 1.0])
        outputs.append((ladder[2] - restoration.restore(photograph)[0]).std().item() * 255)
    # Half of the outputs have grain, of 0.5 to 4 levels (less where black or white ends it).
    grained = [level for level in outputs if level > 0.31]
    assert 2 <= len(grained) <= 10
    assert max(grained) < 4.1


def test_tuning_goes_on_in_its_direction(images, network):
    class Brighter(nn.Module):
        def forward(self, lq):
            return network(lq) * 0.8 + 0.04

    class Plain(nn.Module):
        def forward(self, lq):
            return network(lq) * 0.8

    ladder, severity = Tuning(Plain(), Brighter()).ladder(images[:1], 3)
    assert ladder.shape == (4, 3, 96, 96)
    assert torch.equal(ladder[0], images[0])
    # Steps of 1.75 times the tuning, 0.04 each, where nothing is cut off.
    steps = (ladder[2:] - ladder[1]).mean((1, 2, 3)).tolist()
    assert steps == pytest.approx([0.04 * 1.75, 0.04 * 3.5], abs=0.003)
    assert severity == pytest.approx([0.0, 0.3, 0.45, 0.6])
