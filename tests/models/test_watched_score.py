"""What a run does about the score it raises: a look at the start, a watch afterwards."""

import logging

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from iqasr.losses import Objective
from iqasr.models.watched_score import WatchedScore
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import OptionError
from iqasr.runtime.randomness import generator_at


def detailed_batch(place, count=2):
    generator = torch.Generator().manual_seed(place)
    gt = torch.rand(count, 3, 64, 64, generator=generator)
    return {'lq': F.interpolate(gt, scale_factor=0.25, mode='area'), 'gt': gt}


def said(caplog):
    return [r.message for r in caplog.records if r.message.startswith('l_quality: ranker scores')]


def test_the_look_at_the_start_changes_nothing(
    quality_options, model_of, iterate, same_weights, monkeypatch, caplog
):
    def run():
        model = model_of(quality_options)
        values = [iterate(model, detailed_batch(i), i)['l_quality'].item() for i in range(1, 4)]
        return model, values

    with caplog.at_level(logging.INFO, 'iqasr'):
        looking, values = run()
    assert len(said(caplog)) == 1
    monkeypatch.setattr(Objective, 'check_start', lambda *_: None)
    blind, expected = run()
    assert values == expected
    same_weights(looking.net_g.state_dict(), blind.net_g.state_dict())
    same_weights(looking.net_g_ema.state_dict(), blind.net_g_ema.state_dict())


def test_a_continued_run_is_past_its_start(quality_options, model_of, iterate, caplog):
    model = model_of(quality_options)
    with caplog.at_level(logging.INFO, 'iqasr'):
        iterate(model, detailed_batch(0), 2)
    assert said(caplog) == []


def test_it_looks_while_the_generator_still_waits(gan_options, quality_options, model_of, iterate):
    quality_options['train']['net_d_init_iters'] = 5
    quality_options['train']['quality_opt']['scorer']['range'] = [-40, -20]
    model = model_of(quality_options)
    before = [p.clone() for p in model.net_g.parameters()]
    with pytest.raises(OptionError, match=r'^train.quality_opt: ranker scores .* no room to gain'):
        iterate(model, detailed_batch(0), 1)
    assert all(map(torch.equal, before, model.net_g.parameters()))


def test_a_run_without_room_ends_with_a_message(quality_options, train, capsys):
    quality_options['train']['quality_opt']['scorer']['range'] = [-40, -20]
    assert train(quality_options) == 2
    assert 'allow_saturated: true trains all the same' in capsys.readouterr().err
    quality_options['train']['quality_opt']['allow_saturated'] = True
    assert train(quality_options) == 0


# The watch


def watch(scores, state=None, every=10):
    """Warnings, by iteration, over the scores of iterations from 1."""
    watched, found = WatchedScore(Process()), {}
    watched.load_state_dict(state or {})
    for iteration, score in enumerate(scores, 1):
        watched.add(torch.tensor(score))
        if iteration % every == 0 and (warning := watched.compare()):
            found[iteration] = warning
    return found, watched


def noise(count, mean=0.5, spread=0.02, place=0):
    draws = torch.randn(count, generator=generator_at('watch', place), dtype=torch.float64)
    return (mean + spread * draws).tolist()


def test_falling_score_is_told_once_with_both_numbers():
    scores = [0.5, 0.6] * 10 + [0.53] * 20 + [0.5] * 40
    found, _ = watch(scores)
    assert list(found) == [60]
    # The spread of the start is 0.05 * sqrt(20 / 19); both means are over 20 iterations.
    error = 0.05 * (20 / 19) ** 0.5 * (2 / 20) ** 0.5
    assert 0.55 - 0.53 < 2 * error < 0.55 - 0.5
    assert found[60].startswith('has fallen: 0.5000, mean of 20 iterations, after 0.5500 in the')
    assert f'(standard error of the difference {error:.4f})' in found[60]


def test_second_fall_is_told_only_after_the_score_has_been_back():
    start, low, back = [0.5, 0.6] * 10, [0.45] * 20, [0.56] * 20
    almost = [0.549] * 20
    assert list(watch(start + low + almost + low)[0]) == [40]
    assert list(watch(start + low + back + low)[0]) == [40, 80]


def test_noise_and_gain_are_silent():
    """Chance alone exceeds two standard errors in one of 40 comparisons, one-sided."""
    fallen = sum(bool(watch(noise(40, place=i))[0]) for i in range(200))
    assert fallen <= 16
    rising = [score + 0.001 * i for i, score in enumerate(noise(400))]
    assert watch(rising)[0] == {}


def test_real_fall_is_found():
    found = sum(
        bool(watch(noise(20, place=i) + noise(20, 0.48, place=-i))[0]) for i in range(1, 101)
    )
    assert found > 80  # of one spread


@pytest.mark.parametrize('stop', [7, 20, 33, 64])
def test_watch_continues_exactly(stop):
    scores = noise(20) + noise(30, 0.47, place=1) + noise(30, 0.52, place=2) + noise(30, 0.4)
    expected, whole = watch(scores)
    assert len(expected) == 2
    before, first = watch(scores[:stop])
    second, found = WatchedScore(Process()), dict(before)
    second.load_state_dict(first.state_dict())
    for iteration, score in enumerate(scores[stop:], stop + 1):
        second.add(torch.tensor(score))
        if iteration % 10 == 0 and (warning := second.compare()):
            found[iteration] = warning
    assert found == expected
    assert second.state_dict() == whole.state_dict()


class ForbidWaiting(TorchDispatchMode):
    """Fails when the host reads a value back from a tensor."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function is not torch.ops.aten._local_scalar_dense.default, 'a value was read back'
        return function(*args, **(kwargs or {}))


def test_watch_does_not_wait_for_the_device():
    watched = WatchedScore(Process())
    with ForbidWaiting():
        for _ in range(30):
            watched.add(torch.zeros(()))


def test_scores_that_are_only_held_or_seen_are_not_watched(quality_options, model_of):
    section = quality_options['train']['quality_opt']
    assert list(model_of(quality_options).watched) == ['q_quality']
    del section['gradient_ratio']
    section['loss_weight'] = 0.0
    assert model_of(quality_options).watched == {}


def test_weight_at_its_limit_is_told_once_with_the_log(quality_options, model_of, caplog):
    model = model_of(quality_options)
    calibration = model.step.objective.calibrations()['quality']
    for last in (2.0, 100.0):
        calibration.load(torch.tensor([1.0, last]).repeat_interleave(calibration.measurements))
        assert calibration.weight == 0.5 * min(last, 10)
        model.get_current_log()
        model.get_current_log()
    told = [r.message.split(':')[0] for r in caplog.records if r.levelname == 'WARNING']
    assert told == ['l_quality has hardly any gradient left']
