"""What a run does about the score it raises: a look at the start, a watch afterwards."""

import logging

import pytest
import torch
import torch.nn.functional as F

from iqasr.losses import Objective
from iqasr.runtime.errors import OptionError


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
