import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from iqasr.quality import NIQEScorer, QualityScorer
from iqasr.quality.ranker import read_ranker
from iqasr.ranking import (
    DISTORTIONS,
    RankerOptions,
    RankerTraining,
    Restoration,
    Tuning,
    train_from_folder,
    train_ranker,
)
from iqasr.ranking import training as module
from iqasr.ranking.order_losses import LOGIT_RANGE, distillation_loss, ranking_loss
from iqasr.ranking.votes import VotedSource

SMALL = RankerOptions(
    iterations=6, photographs_per_batch=2, crop_px=48, rungs=2, order_iterations=2
)


class Darkness(QualityScorer):
    """Not differentiable; prefers dark images, which no ladder teaches."""

    name, version, score_range = 'darkness', '1', (-1.0, 0.0)

    def _score(self, image, reference=None):
        return -image.mean((1, 2, 3))


def test_ranking_loss_by_hand():
    logits, severity = torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([[0.0, 0.25, 0.5]])
    # Margins 2, 4, 2 and leads 2, 1, -1 of the pairs (0, 1), (0, 2), (1, 2).
    assert LOGIT_RANGE == 8
    loss, right = ranking_loss(logits, severity)
    assert loss.item() == pytest.approx((0 + 3 + 3) / 3)
    assert right.tolist() == pytest.approx([2 / 3])


def test_distillation_loss_by_hand_leaves_nan_out():
    taught = torch.tensor([0.0, math.nan, 2.0])
    gap = 2 / math.sqrt(2)
    # The two known scores differ by 2, their standard deviation is sqrt(2).
    agreeing = distillation_loss(torch.tensor([0.0, 9.0, gap]), taught)
    opposed = distillation_loss(torch.tensor([gap, 9.0, 0.0]), taught)
    assert agreeing.item() == pytest.approx(0, abs=1e-6)
    assert opposed.item() == pytest.approx((2 * gap + 2 * gap) / 4)


def test_training_learns_the_order(photographs):
    options = replace(SMALL, iterations=80, photographs_per_batch=6, order_iterations=80)
    training = RankerTraining(photographs, {k: DISTORTIONS[k] for k in ('blur', 'noise')}, options)
    values = [training.step(iteration) for iteration in range(1, 81)]
    early, late = (sum(v['order'] for v in part) for part in (values[:20], values[-20:]))
    assert late < 0.75 * early
    assert sum(v['right'] for v in values[-20:]) / 20 > 0.8


def test_robustness_waits_for_the_order_and_rises_to_the_end(photographs):
    options = replace(SMALL, iterations=12, robustness=6.0, order_iterations=4)
    training = RankerTraining(photographs, DISTORTIONS, options)
    assert [training.robustness_at(i) for i in (1, 4, 8, 12)] == [0, 0, 3, 6]
    assert 'robustness' not in training.step(4)
    assert 'robustness' in training.step(5)


def test_attacked_training_rises_less_under_attack(photographs):
    def rise(robustness):
        options = replace(
            SMALL,
            iterations=100,
            robustness=robustness,
            order_iterations=40,
            photographs_per_batch=4,
        )
        training = RankerTraining(photographs, {'blur': DISTORTIONS['blur']}, options)
        for iteration in range(1, 101):
            training.step(iteration)
        images = training.ladders.draw(4, module.generator_at('held out')).images.flatten(0, 1)
        return training.attack_gain(images, training.network(images), module.generator_at(1)).item()

    assert rise(5.0) < 0.8 * rise(0.0)


def test_teacher_without_gradient_is_followed(photographs):
    options = replace(
        SMALL, iterations=60, distillation=20.0, photographs_per_batch=6, order_iterations=60
    )
    training = RankerTraining(photographs, {'blur': DISTORTIONS['blur']}, options, Darkness())
    for iteration in range(1, 61):
        training.step(iteration)
    images = torch.stack([torch.full((3, 48, 48), level) for level in (0.2, 0.5, 0.8)])
    with torch.no_grad():
        assert (training.network(images).diff() < 0).all()


def network(value):
    """Enlarge 4 times into one colour, a weight."""

    class OneColour(nn.Module):
        def __init__(self):
            super().__init__()
            self.value = nn.Parameter(torch.tensor(value))

        def forward(self, lq):
            return self.value + 0 * F.interpolate(lq, scale_factor=4)

    return OneColour()


def training_with(photographs, first=0, lr=2e-3, value=0.5, share=0.1, names='ab', teacher=None):
    photographs = photographs[first:]
    images = torch.from_numpy(np.stack(photographs[:2]).transpose(0, 3, 1, 2).copy())
    return RankerTraining(
        photographs,
        DISTORTIONS,
        replace(SMALL, rungs=3, lr=lr),
        teacher,
        restorations=[Restoration(network(0.2), 4, names[0])],
        tunings=[Tuning(network(0.2), network(value), 4, names[1])],
        votes=[VotedSource('s', images, [(0, 1, share)])],
    )


def test_killed_training_ends_with_the_same_file(photographs, tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'SAVE_EVERY', 2)

    undisturbed = train_ranker(training_with(photographs), tmp_path / 'undisturbed.safetensors')
    killed = training_with(photographs)
    step = killed.step
    monkeypatch.setattr(
        killed, 'step', lambda i: step(i) if i < 4 else (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        train_ranker(killed, tmp_path / 'resumed.safetensors')
    resumed = train_ranker(training_with(photographs), tmp_path / 'resumed.safetensors')
    assert resumed.read_bytes() == undisturbed.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        'resumed.safetensors',
        'undisturbed.safetensors',
    ]
    assert read_ranker(resumed).channels == [16, 32, 64, 96]


@pytest.mark.parametrize(
    ('change', 'differing'),
    [
        ({'lr': 1e-4}, 'lr'),
        ({'value': 0.6}, r'network 2 \(b\)'),
        ({'share': 0.2}, 'votes'),
        ({'names': 'ac', 'value': 0.6}, r'network 2 \(b\), network 2 \(c\)'),
        ({'teacher': Darkness()}, 'teacher'),
        ({'first': 1}, 'photographs, votes'),
    ],
)
def test_state_of_another_training_is_refused(
    change, differing, photographs, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, 'SAVE_EVERY', 1)
    target = tmp_path / 'ranker.safetensors'
    killed = training_with(photographs)
    step = killed.step
    monkeypatch.setattr(killed, 'step', lambda i: step(i) if i < 2 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train_ranker(killed, target)
    with pytest.raises(ValueError, match=f'differs in {differing}. Train with the same'):
        train_ranker(training_with(photographs, **change), target)


def test_state_without_a_record_of_what_it_was_made_from_is_refused(photographs, tmp_path):
    target = tmp_path / 'ranker.safetensors'
    torch.save({'options': {}, 'iteration': 2}, tmp_path / 'ranker.safetensors.state')
    with pytest.raises(ValueError, match=r'ranker.safetensors.state: belongs to .* iterations, '):
        train_ranker(RankerTraining(photographs, DISTORTIONS, SMALL), target)


def test_images_of_votes_smaller_than_the_crop_are_refused(photographs):
    images = torch.zeros(2, 3, 47, 96, dtype=torch.uint8)
    votes = [VotedSource('lake', images, [(0, 1, 0.2)])]
    with pytest.raises(ValueError, match='lake have less than 48 pixels a side; leave them out'):
        RankerTraining(photographs, DISTORTIONS, SMALL, votes=votes)


def test_teacher_that_needs_larger_crops_is_refused(photographs):
    with pytest.raises(ValueError, match='niqe needs 192 pixels a side, crops have 48'):
        RankerTraining(photographs, DISTORTIONS, SMALL, NIQEScorer())


def test_photographs_smaller_than_the_crop_are_refused(photographs):
    with pytest.raises(ValueError, match='No photograph has 128 pixels a side'):
        RankerTraining(photographs, DISTORTIONS, replace(SMALL, crop_px=128))


def test_folder_without_photographs_is_refused(tmp_path):
    with pytest.raises(ValueError, match='holds no photographs'):
        train_from_folder(str(tmp_path), str(tmp_path / 'r.safetensors'), SMALL)
