"""Layouts of networks, precision, and fused optimisers."""

import copy
import functools
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from iqasr.models import speed
from iqasr.models.optimisation import Optimisation
from iqasr.runtime.errors import OptionError
from iqasr.runtime.weights import load_file

# Layouts


def test_the_layout_that_is_faster_in_every_round_is_used(monkeypatch):
    costs = {'plain': [10, 10, 10], 'channels_last': [9, 9, 9]}
    now = 0

    def pass_of(network, given, autocast, layout):
        left = iter(costs[layout])

        def work():
            nonlocal now
            now += next(left)

        return work

    monkeypatch.setattr(speed, 'training_pass', pass_of)
    monkeypatch.setattr(speed, 'clock', lambda: now)
    assert speed.fastest('x', None, None, None, ('plain', 'channels_last')) == 'channels_last'
    costs['channels_last'] = [5, 10, 5]
    assert speed.fastest('x', None, None, None, ('plain', 'channels_last')) == 'plain'


@pytest.fixture
def layouts_found(monkeypatch):
    """What is said to be fastest; and for which networks it was asked."""
    asked = []

    def fastest(name, network, given, autocast, layouts):
        asked.append(name)
        with autocast():
            network(given).mean().backward()
        network.zero_grad()
        return layouts[-1]

    monkeypatch.setattr(speed, 'fastest', fastest)
    return asked


def test_the_layout_is_measured_once_and_kept(
    gan_options, model_of, layouts_found, same_weights, batch_of, iterate
):
    gan_options['train']['speed'] = 'auto'
    model = model_of(gan_options)
    assert layouts_found == ['net_g', 'net_d']
    assert model.step.layouts == dict.fromkeys(layouts_found, 'channels_last')
    for network in (model.net_g, model.net_g_ema, model.net_d):
        weight = next(p for p in network.parameters() if p.dim() == 4 and p.shape[1] > 3)
        assert weight.is_contiguous(memory_format=torch.channels_last)
    iterate(model, batch_of(1), 1)
    files = copy.deepcopy(model.step.network_files())
    model.save(0, 1)
    state_file = model.checkpoints.state_file(1)
    resumed = model_of(gan_options, resume_state=state_file)
    assert len(layouts_found) == 2
    resumed.resume_training(load_file(state_file))
    for one in (model, resumed):
        iterate(one, batch_of(2), 2)
    same_weights(model.net_g.state_dict(), resumed.net_g.state_dict())
    same_weights(model.net_d.state_dict(), resumed.net_d.state_dict())
    assert all(v.is_contiguous() for f in files.values() for s in f.values() for v in s.values())


@pytest.mark.parametrize('lora', [False, True])
def test_compiled_networks_train_alike_and_keep_their_names(
    lora, gan_options, model_of, layouts_found, monkeypatch, batch_of, adapt, iterate
):
    monkeypatch.setattr(torch, 'compile', functools.partial(torch.compile, backend='eager'))
    if lora:
        adapt(gan_options)
    plain = model_of(gan_options)
    gan_options['train']['speed'] = 'compile'
    compiled = model_of(gan_options)
    assert compiled.step.layouts['net_g'] == 'channels_last compiled'
    for iteration in (1, 2):
        logs = [iterate(m, batch_of(iteration), iteration) for m in (plain, compiled)]
        assert logs[1]['l_pixel'].item() == pytest.approx(logs[0]['l_pixel'].item(), rel=1e-4)
    files = [m.step.network_files() for m in (plain, compiled)]
    for name, sections in files[0].items():
        for key, weights in sections.items():
            assert weights.keys() == files[1][name][key].keys()
    assert compiled.restore(torch.rand(1, 3, 9, 7)).shape == (1, 3, 36, 28)


def test_a_layout_that_fails_is_left_out(caplog, monkeypatch):
    def refuse(network):
        raise RuntimeError('no compiler')

    monkeypatch.setattr(torch, 'compile', refuse)
    given, layouts = torch.rand(1, 3, 8, 8), speed.CANDIDATES['compile']
    found = speed.fastest('x', nn.Conv2d(3, 3, 3), given, nullcontext, layouts)
    assert 'compiled' not in found
    assert 'plain compiled fails: no compiler' in caplog.text


# Precision


def test_bf16_computes_in_bf16_and_learns_the_same(gan_options, model_of, batch_of, iterate):
    plain = model_of(gan_options)
    gan_options['train']['amp'] = 'bf16'
    half = model_of(gan_options)
    seen = set()
    half.net_g.conv_first.register_forward_hook(lambda _, __, output: seen.add(output.dtype))
    for iteration in range(1, 6):
        logs = [iterate(m, batch_of(iteration), iteration) for m in (plain, half)]
    assert seen == {torch.bfloat16}
    assert logs[1]['l_pixel'].item() == pytest.approx(logs[0]['l_pixel'].item(), rel=0.02)
    assert logs[1]['l_pixel'].item() != logs[0]['l_pixel'].item()
    assert all(p.dtype == torch.float32 for p in half.net_g.parameters())


def test_bf16_run_resumes_bit_identical(gan_options, train, weights_of, same_weights):
    gan_options['train'] |= {'amp': 'bf16', 'speed': 'channels_last', 'total_iter': 4}
    del gan_options['datasets']['val'], gan_options['val']
    gan_options['logger']['save_checkpoint_freq'] = 2
    assert train(gan_options | {'name': 'whole'}) == 0
    parts = gan_options | {'name': 'parts'}
    assert train(parts | {'train': gan_options['train'] | {'total_iter': 2}}) == 0
    assert train(parts, '--auto_resume') == 0
    for network in ('net_g', 'net_d'):
        same_weights(
            weights_of(gan_options | {'name': 'whole'}, 4, network), weights_of(parts, 4, network)
        )


def test_fp16_is_refused_without_a_gpu(gan_options, model_of):
    gan_options['train']['amp'] = 'fp16'
    with pytest.raises(OptionError, match=r'train\.amp: fp16 needs a GPU'):
        model_of(gan_options)


def optimisation(**more):
    network = nn.Linear(2, 1, bias=False)
    nn.init.ones_(network.weight)
    return network, Optimisation(network, {'type': 'SGD', 'lr': 1.0}, scale_loss=True, **more)


def test_scaled_gradients_give_the_same_step_and_overflow_gives_none():
    network, scaled = optimisation(clip_grad_norm=0.5)
    scaled.backward(network.weight.sum() * 3)
    assert scaled.step().item() == pytest.approx(3 * 2**0.5)
    assert network.weight.detach().flatten().tolist() == pytest.approx(2 * [1 - 0.5 / 2**0.5])
    before = network.weight.detach().clone()
    scaled.backward(network.weight.sum() * float('inf'))
    scaled.step()
    assert torch.equal(network.weight, before)
    state = scaled.state_dict()
    assert state['scaler']['scale'] == 2.0**15
    again = optimisation()[1]
    again.load_state_dict(state, 1)
    assert again.scaler.get_scale() == 2.0**15


# Optimisers


@pytest.mark.parametrize(
    ('section', 'expected'),
    [
        ({'type': 'AdamW'}, True),
        ({'type': 'Adam', 'foreach': True}, None),
        ({'type': 'Adam', 'fused': False}, False),
        ({'type': 'RMSprop'}, None),
    ],
)
def test_optimisers_are_fused_unless_told_otherwise(section, expected):
    network = nn.Linear(2, 1)
    assert Optimisation(network, section).optimizer.defaults.get('fused') == expected
