"""How much room a score has at the start: the measurement, the words, the refusal."""

import logging

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.multiprocessing import spawn

from iqasr.losses import Objective, QualityLoss
from iqasr.losses.saturation import Headroom, measure_headroom
from iqasr.quality import QualityScorer
from iqasr.registry import SCORER_REGISTRY
from iqasr.runtime.errors import OptionError
from iqasr.runtime.randomness import generator_at


class Spread(QualityScorer):
    """Variance of all values; a published score that falls, from 0.2 to 0."""

    name, version, score_range = 'spread', '1', (-0.2, 0.0)
    lower_better, differentiable = True, True

    def _score(self, image, reference=None):
        return 0.2 - 2 * image.var((1, 2, 3))


class Saturated(QualityScorer):
    """A sigmoid of the contrast whose ends are soon reached."""

    name, version, score_range, differentiable = 'saturated', '1', (0.0, 2.0), True

    def _score(self, image, reference=None):
        return (200 * (image.diff(dim=-1).square().mean((1, 2, 3)) - 0.05)).sigmoid()


class Likeness(QualityScorer):
    name, version, score_range = 'likeness', '1', (0.0, 1.0)
    needs_reference, differentiable = True, True

    def _score(self, image, reference):
        return 1 - (image - reference).square().mean((1, 2, 3))


class Nothing(QualityScorer):
    """A score, but not of dim images."""

    name, version, score_range, differentiable = 'nothing', '1', (0.0, 1.0), True

    def _score(self, image, reference=None):
        mean = image.mean((1, 2, 3))
        return mean.where((mean < 0.01) | (mean > 0.1), torch.nan)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    for scorer in (Spread, Saturated, Likeness, Nothing):
        monkeypatch.setitem(SCORER_REGISTRY._obj_map, scorer.__name__, scorer)


def loss(scorer, **options):
    return QualityLoss({'type': scorer}, **({'loss_weight': 1.0} | options))


@pytest.fixture
def images():
    """Output, with less contrast, and ground truth, both of noise."""
    gt = torch.rand(2, 3, 32, 32, generator=generator_at('room'))
    return 0.5 + 0.4 * (gt - 0.5), gt


def variance(image):
    return image.var((1, 2, 3)).mean().item()


def test_measured_by_hand(images):
    output, gt = images
    headroom = measure_headroom(lambda x: 10 * x.var((1, 2, 3)), output, gt)
    assert headroom.output == pytest.approx(10 * variance(output), rel=1e-5)
    assert headroom.gt == pytest.approx(10 * variance(gt), rel=1e-5)
    enlarged = F.interpolate(gt, (8, 8), mode='bicubic', antialias=True).clamp(0, 1)
    enlarged = F.interpolate(enlarged, (32, 32), mode='bicubic', antialias=True).clamp(0, 1)
    # The gradient of a variance is the difference to the mean.
    assert headroom.slope == pytest.approx((variance(output) / variance(enlarged)) ** 0.5, rel=0.01)


def test_said_in_published_units(images):
    output, gt = images
    found = loss('Spread').check_start(output, gt)
    own, best = (0.2 - 2 * variance(image) for image in (output, gt))
    assert found.startswith(
        f"spread scores the network's output at {1 - own / 0.2:.2f} of 1 ({own:.3g} of 0.2..0), "
        f'the ground truth at {1 - best / 0.2:.2f} ({best:.3g}); its gradient is '
    )


@pytest.mark.parametrize(
    ('headroom', 'full'),
    [
        (Headroom(0.94, 0.9, 0.02), False),
        (Headroom(0.95, 0.99, 1.0), True),
        (Headroom(0.5, 0.9, 0.009), True),
        (Headroom(0.5, 0.9, float('inf')), False),
    ],
)
def test_saturated_is_by_score_or_by_slope(headroom, full):
    assert headroom.is_finite
    assert headroom.is_saturated == full


def test_no_slope_is_refused_though_the_score_is_low(images):
    _, gt = images
    assert loss('Saturated').check_start(gt * 0.9, gt)
    with pytest.raises(ValueError, match=r'at 0\.50 of 1 \(1 of 0\.\.2\).* is 0\.0% .*no room'):
        loss('Saturated').check_start(3 * (gt - 0.5) + 0.5, gt)


def test_no_room_is_refused_unless_allowed(images):
    _, gt = images
    near = {'scorer': {'type': 'Spread', 'range': [0.2, 0.1]}, 'loss_weight': 1.0}
    with pytest.raises(ValueError, match='There is no room to gain'):
        QualityLoss(**near).check_start(gt, gt)
    assert 'of 0.2..0.1)' in QualityLoss(**near, allow_saturated=True).check_start(gt, gt)
    assert QualityLoss(**(near | {'loss_weight': 0.0})).check_start(gt, gt)


def test_a_score_that_compares_may_be_full(images):
    _, gt = images
    assert 'at 1.00 of 1' in loss('Likeness').check_start(gt, gt)


def test_no_number_is_refused_always(images):
    _, gt = images
    with pytest.raises(ValueError, match=r'at nan of 1.*Without a number'):
        loss('Nothing', allow_saturated=True).check_start(0.1 * gt, gt)


def test_objective_logs_under_the_name_of_the_term_and_refuses_by_its_option(images, caplog):
    output, gt = images
    with caplog.at_level(logging.INFO, 'iqasr'):
        Objective({'look': loss('Spread'), 'pixel': torch.nn.L1Loss()}).check_start(output, gt)
    assert [r.message[:23] for r in caplog.records if 'network' in r.message] == [
        'l_look: spread scores t'
    ]
    with pytest.raises(OptionError, match=r'^train.look_opt: saturated scores'):
        Objective({'look': loss('Saturated')}).check_start(torch.zeros_like(gt) + 0.5, gt)


def measure_on(rank, folder):
    dist.init_process_group('gloo', f'file://{folder}/store', rank=rank, world_size=2)
    gt = torch.rand(2, 3, 32, 32, generator=generator_at('rank', rank))
    found = measure_headroom(lambda x: x.var((1, 2, 3)), (0.5 + rank / 2) * gt, gt)
    torch.save(tuple(found), f'{folder}/{rank}.pth')
    dist.destroy_process_group()


def test_processes_agree_on_the_means(tmp_path):
    spawn(measure_on, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f'{rank}.pth') for rank in range(2))
    assert first == second
    gt = [torch.rand(2, 3, 32, 32, generator=generator_at('rank', rank)) for rank in range(2)]
    assert first[0] == pytest.approx((0.25 * variance(gt[0]) + variance(gt[1])) / 2, rel=1e-5)
