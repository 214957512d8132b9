"""Every fast path against the plain one."""

import copy
import functools
import re

import pytest
import torch
import torch.nn.functional as F
from basicsr.losses.gan_loss import GANLoss
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from iqasr.builders import build_choice
from iqasr.distributed import Process
from iqasr.losses import AdversarialTerm, Batch, RelativisticGANLoss, discriminator_loss
from iqasr.models import RestorationModel, speed
from iqasr.models.feeder import Fed
from iqasr.models.optimisation import Optimisation
from iqasr.option_check import load_options
from iqasr.options import OptionError, TrainOptions


@pytest.fixture
def model_of(write_options):
    def build(options, **arguments):
        checked = load_options(write_options(options))
        return RestorationModel(
            checked, Process(), 0, build_choice(checked, Process()), **arguments
        )

    return build


def batch_of(place, count=2):
    generator = torch.Generator().manual_seed(place)
    lq = torch.rand(count, 3, 8, 8, generator=generator)
    return {'lq': lq, 'gt': F.interpolate(lq, scale_factor=4)}


@pytest.fixture
def gan_options(paired_options):
    paired_options['network_d'] = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
    paired_options['train'] |= {
        'optim_g': {'type': 'Adam', 'lr': 3e-4},
        'optim_d': {'type': 'Adam', 'lr': 1e-4},
        'gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla', 'loss_weight': 0.01},
    }
    return paired_options


def adapt(options, model_of, tmp_path):
    path = tmp_path / 'base.pth'
    torch.save({'params': model_of(options).net_g.state_dict()}, path)
    options['path']['pretrain_network_g'] = str(path)
    options['lora'] = {'rank': 2, 'target': ['body.*']}


# One pass of the discriminator

DISCRIMINATORS = {
    'plain': lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 3)),
    'batch statistics': lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Conv2d(4, 1, 3)
    ),
}


@pytest.mark.parametrize('network', DISCRIMINATORS)
@pytest.mark.parametrize('loss', [GANLoss('vanilla', loss_weight=0.1), RelativisticGANLoss()])
def test_both_sides_learn_from_one_look_what_they_learn_from_two(loss, network):
    torch.manual_seed(0)
    apart = DISCRIMINATORS[network]()
    together = copy.deepcopy(apart)
    gt, output = torch.rand(2, 2, 3, 8, 8)
    outputs = [output.clone().requires_grad_() for _ in range(2)]
    lq = gt[..., ::4, ::4]

    expected = AdversarialTerm(apart, loss)(Batch(lq, gt, outputs[0]))
    (3 * expected).backward()
    expected_loss, expected_log = discriminator_loss(apart, loss, gt, output)
    (expected_loss / 2).backward()

    term = AdversarialTerm(together, loss, together, parts=2)
    value = term(Batch(lq, gt, outputs[1]))
    (3 * value).backward()
    log, learnt = term.learnt

    assert torch.allclose(value, expected)
    assert torch.allclose(outputs[1].grad, outputs[0].grad, atol=1e-8)
    assert torch.allclose(learnt, expected_loss)
    assert log.keys() == expected_log.keys()
    for ours, theirs in zip(together.parameters(), apart.parameters(), strict=True):
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-7)


def count_forwards(model, calls):
    network = model.net_d
    network.register_forward_hook(lambda *_: calls.append(1))
    model.optimize_parameters([batch_of(1)], 1, 0)
    return len(calls)


def test_the_discriminator_sees_each_image_once_an_iteration(gan_options, model_of):
    assert count_forwards(model_of(gan_options), []) == 2


# The loss curve


TOLERANCES = {'l_pixel': 1e-3, 'l_gan': 0.03, 'l_d_fake': 0.03}
"""Relative; what rounding has become after 200 iterations: adversaries amplify it."""


def curve(model, iterations=200):
    for layer in model.net_d.modules():
        if hasattr(layer, 'weight_orig'):
            nn.utils.remove_spectral_norm(layer)  # it depends on the number of passes
            torch.manual_seed(0)
            layer.reset_parameters()
    train = model.options.train
    model.optimisation['d'] = Optimisation(model.net_d, train.optim_d, train)
    logs = [model.optimize_parameters([batch_of(i)], i, 2 * i) for i in range(1, iterations + 1)]
    return {k: torch.stack([log[k] for log in logs]) for k in ('l_pixel', 'l_gan', 'l_d_fake')}


@pytest.fixture
def plain_curve(gan_options, model_of):
    options = copy.deepcopy(gan_options)
    options['train']['optim_g']['foreach'] = options['train']['optim_d']['foreach'] = False
    model = model_of(options)
    model.adversary._pupil = [None]
    return curve(model)


def test_losses_of_200_iterations_are_those_of_the_plain_step(gan_options, model_of, plain_curve):
    """A shared pass of the discriminator, fused optimisers and channels_last together."""
    gan_options['train']['speed'] = 'channels_last'
    fast = curve(model_of(gan_options))
    assert plain_curve['l_pixel'][-20:].mean() < 0.9 * plain_curve['l_pixel'][:5].mean()
    for name, values in plain_curve.items():
        difference = (fast[name] - values).abs() / values
        assert difference[:10].max() < 1e-4, name
        assert difference.max() < TOLERANCES[name], name


# Forms


def test_the_clearly_faster_form_is_used_and_the_plain_one_in_doubt(monkeypatch):
    clock = iter(range(10**6))
    cost = {'plain': 10, 'channels_last': 9}

    def pass_of(network, forward, form):
        return lambda: [next(clock) for _ in range(cost[form])]

    monkeypatch.setattr(speed, 'training_pass', pass_of)
    monkeypatch.setattr(speed.time, 'perf_counter', lambda: next(clock))
    assert speed.fastest('x', None, None, ('plain', 'channels_last')) == 'channels_last'
    cost['channels_last'] = 10
    assert speed.fastest('x', None, None, ('plain', 'channels_last')) == 'plain'


@pytest.fixture
def forms_found(monkeypatch):
    """What is said to be fastest; and for which networks it was asked."""
    asked = []

    def fastest(name, network, forward, forms):
        asked.append(name)
        forward(network).backward()
        network.zero_grad()
        return forms[-1]

    monkeypatch.setattr(speed, 'fastest', fastest)
    return asked


def test_the_form_is_measured_once_and_kept(gan_options, model_of, forms_found, same_weights):
    gan_options['train']['speed'] = 'auto'
    model = model_of(gan_options)
    assert forms_found == ['net_g', 'net_d']
    assert model.forms == dict.fromkeys(forms_found, 'channels_last')
    for network in (model.net_g, model.net_g_ema, model.net_d):
        weight = next(p for p in network.parameters() if p.dim() == 4 and p.shape[1] > 3)
        assert weight.is_contiguous(memory_format=torch.channels_last)
    model.optimize_parameters([batch_of(1)], 1, 0)
    files, state = copy.deepcopy((model.network_files(), model.training_state()))
    resumed = model_of(gan_options, forms=state['forms'])
    assert len(forms_found) == 2
    resumed.load(files, state)
    for one in (model, resumed):
        one.optimize_parameters([batch_of(2)], 2, 2)
    same_weights(model.net_g.state_dict(), resumed.net_g.state_dict())
    same_weights(model.net_d.state_dict(), resumed.net_d.state_dict())
    assert all(v.is_contiguous() for f in files.values() for s in f.values() for v in s.values())


@pytest.mark.parametrize('lora', [False, True])
def test_compiled_networks_train_alike_and_keep_their_names(
    lora, gan_options, model_of, forms_found, monkeypatch, tmp_path
):
    monkeypatch.setattr(torch, 'compile', functools.partial(torch.compile, backend='eager'))
    if lora:
        adapt(gan_options, model_of, tmp_path)
    plain = model_of(gan_options)
    gan_options['train']['speed'] = 'compile'
    compiled = model_of(gan_options)
    assert compiled.forms['net_g'] == 'channels_last compiled'
    for iteration in (1, 2):
        logs = [
            m.optimize_parameters([batch_of(iteration)], iteration, 0) for m in (plain, compiled)
        ]
        assert logs[1]['l_pixel'].item() == pytest.approx(logs[0]['l_pixel'].item(), rel=1e-4)
    files = [m.network_files() for m in (plain, compiled)]
    for name, sections in files[0].items():
        for key, weights in sections.items():
            assert weights.keys() == files[1][name][key].keys()
    assert compiled.test(torch.rand(1, 3, 9, 7)).shape == (1, 3, 36, 28)


def test_a_form_that_fails_is_left_out(caplog):
    def refuse(called):
        if called is not network and isinstance(called, torch._dynamo.OptimizedModule):
            raise RuntimeError('no compiler')
        return called(torch.rand(1, 3, 8, 8)).mean()

    network = nn.Conv2d(3, 3, 3)
    assert 'compiled' not in speed.fastest('x', network, refuse, speed.CANDIDATES['compile'])


# Precision


def test_bf16_computes_in_bf16_and_learns_the_same(gan_options, model_of):
    plain = model_of(gan_options)
    gan_options['train']['amp'] = 'bf16'
    half = model_of(gan_options)
    seen = set()
    half.net_g.conv_first.register_forward_hook(lambda _, __, output: seen.add(output.dtype))
    for iteration in range(1, 6):
        logs = [m.optimize_parameters([batch_of(iteration)], iteration, 0) for m in (plain, half)]
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


def optimisation(amp='fp16', **more):
    network = nn.Linear(2, 1, bias=False)
    nn.init.ones_(network.weight)
    adam = {'type': 'SGD', 'lr': 1.0}
    train = TrainOptions(total_iter=9, optim_g=adam, amp=amp, **more)
    return network, Optimisation(network, adam, train)


def test_scaled_gradients_give_the_same_step_and_overflow_gives_none():
    network, scaled = optimisation(clip_grad_norm=0.5)
    scaled.backward(network.weight.sum() * 3)
    assert scaled.step(1).item() == pytest.approx(3 * 2**0.5)
    assert network.weight.detach().flatten().tolist() == pytest.approx(2 * [1 - 0.5 / 2**0.5])
    before = network.weight.detach().clone()
    scaled.backward(network.weight.sum() * float('inf'))
    scaled.step(2)
    assert torch.equal(network.weight, before)
    state = scaled.state_dict()
    assert state['scaler']['scale'] == 2.0**15
    again = optimisation()[1]
    again.load_state_dict(state)
    assert again.scaler.get_scale() == 2.0**15


# Optimisers


@pytest.mark.parametrize(
    ('section', 'expected'),
    [
        ({'type': 'AdamW'}, True),
        ({'type': 'Adam', 'foreach': True}, None),
        ({'type': 'RMSprop'}, None),
    ],
)
def test_optimisers_are_fused_unless_told_otherwise(section, expected):
    network = nn.Linear(2, 1)
    train = TrainOptions(total_iter=9, optim_g=section)
    assert Optimisation(network, section, train).optimizer.defaults.get('fused') == expected


# Waiting


class ForbidWaiting(TorchDispatchMode):
    """Fails when the host reads a value back from a tensor."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function is not torch.ops.aten._local_scalar_dense.default, 'a value was read back'
        return function(*args, **(kwargs or {}))


def refuse(*_):
    raise AssertionError('a tensor was copied to the host')


@pytest.mark.parametrize('amp', ['none', 'bf16'])
def test_a_whole_iteration_does_not_wait_for_the_device(
    amp, gan_options, model_of, monkeypatch, tmp_path
):
    adapt(gan_options, model_of, tmp_path)
    gan_options['datasets']['train']['gt_size'] = 64
    gan_options['train'] |= {'amp': amp, 'clip_grad_norm': 1.0}
    gan_options['train']['quality_opt'] = {
        'type': 'QualityLoss',
        'scorer': {'type': 'RankerScorer'},
        'loss_weight': 0.1,
    }
    model = model_of(gan_options)
    fed = Fed(torch.rand(2, 3, 16, 16), torch.rand(2, 3, 64, 64))
    model.feed = lambda *_: (fed, {})
    for name in ('tolist', 'cpu', 'numpy'):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    with ForbidWaiting():
        log = model.optimize_parameters([{}], 1, 0)
    monkeypatch.undo()
    assert re.match('l_', next(iter(log)))
    assert {'q_quality', 'l_gan', 'l_d_real', 'grad_norm_g'} <= log.keys()


def test_frozen_weights_never_hold_gradients(gan_options, model_of, tmp_path):
    adapt(gan_options, model_of, tmp_path)
    model = model_of(gan_options)
    held = []
    step = model.step

    def look(which, log, iteration):
        held.extend(n for n, p in model.net_g.named_parameters() if p.grad is not None)
        step(which, log, iteration)

    model.step = look
    model.optimize_parameters([batch_of(1)], 1, 0)
    assert held
    assert all('.lora_' in name for name in held)
    assert all(p.grad is None for n in model.networks().values() for p in n.parameters())
