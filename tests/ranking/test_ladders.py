"""Ladders as they are drawn for training."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from iqasr.ranking import DISTORTIONS, Restoration, Tuning
from iqasr.ranking import ladders as module
from iqasr.ranking.ladders import LadderSampler
from iqasr.runtime.randomness import generator_at


class Nearest(nn.Module):
    def forward(self, lq):
        return F.interpolate(lq, scale_factor=4)


class Brighter(nn.Module):
    def forward(self, lq):
        return F.interpolate(lq + 0.05, scale_factor=4)


@pytest.fixture
def sampler(photographs):
    def make(*networks):
        return LadderSampler(photographs, DISTORTIONS, networks, rungs=4, crop_px=48)

    return make


def test_ladders_ascend_from_their_crop_and_are_a_function_of_the_generator(sampler):
    images, severity, scaled, kinds = sampler().draw(8, generator_at(0))
    again = sampler().draw(8, generator_at(0))
    assert images.shape == (8, 5, 3, 48, 48)
    assert torch.equal(again.images, images)
    assert severity[:, 0].tolist() == [0] * 8
    assert (severity.diff() > 0).all()
    assert 0 < scaled.sum() < 8
    assert set(kinds) <= set(DISTORTIONS)


def test_a_rate_moves_towards_the_share_of_errors_and_draws_its_distortion_more_often(sampler):
    ladders = sampler()
    for _ in range(100):
        ladders.update_error_rates(['blur', 'noise'], torch.tensor([0.0, 1.0]))
    # 0.95^100 of the way is left.
    assert ladders.error_rates['blur'] == pytest.approx(1 - 0.5 * 0.95**100)
    assert ladders.error_rates['noise'] == pytest.approx(0.5 * 0.95**100)
    kinds = ladders.draw(60, generator_at(1)).kinds
    assert kinds.count('blur') > 3 * kinds.count('noise')


def test_ladders_of_a_tuning_leave_the_rates_of_distortions_alone(sampler, monkeypatch):
    monkeypatch.setattr(module, 'RESTORED_SHARE', 1.0)
    ladders = sampler(Tuning(Nearest(), Brighter()))
    batch = ladders.draw(3, generator_at(2))
    assert batch.kinds == [None] * 3
    assert batch.images.shape == (3, 5, 3, 48, 48)
    assert not batch.scaled.any()
    ladders.update_error_rates(batch.kinds, torch.zeros(3))
    assert set(ladders.error_rates.values()) == {0.5}


def test_ladders_compute_no_bicubic_enlargement(monkeypatch):
    sizes, interpolate = [], F.interpolate

    def watch(image, size=None, **choices):
        sizes.append(size)
        return interpolate(image, size, **choices)

    monkeypatch.setattr(F, 'interpolate', watch)
    photograph = torch.rand(1, 3, 48, 48, generator=generator_at(3))
    Tuning(Nearest(), Nearest()).ladder(photograph, 3)
    Restoration(Nearest()).ladder(photograph, DISTORTIONS['blur'], [0.0, 0.5], generator_at(3))
    reductions = [size for size in sizes if size is not None]
    assert reductions == [[12, 12]] * 3
