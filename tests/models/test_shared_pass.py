"""What both sides learn from a shared pass, and the whole fast step against the plain one."""

import copy

import pytest
import torch
from basicsr.losses.gan_loss import GANLoss
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from iqasr.losses import Adversary, Judgement, RelativisticGANLoss
from iqasr.models.optimisation import Optimisation
from iqasr.models.sample_preparation import Pairs

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

    expected = Adversary(apart, loss).generator_loss(outputs[0], gt)
    (3 * expected).backward()
    expected_loss, expected_log = Adversary(apart, loss).discriminator_loss(output, gt)
    (expected_loss / 2).backward()

    judgement = Adversary(together, loss).judge(outputs[1], gt)
    (judgement.discriminator_loss / 2).backward(inputs=list(together.parameters()))
    (3 * judgement.generator_loss).backward()

    assert torch.allclose(judgement.generator_loss, expected)
    assert torch.allclose(outputs[1].grad, outputs[0].grad, atol=1e-8)
    assert torch.allclose(judgement.discriminator_loss, expected_loss)
    assert judgement.log.keys() == expected_log.keys()
    for ours, theirs in zip(together.parameters(), apart.parameters(), strict=True):
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-7)


def test_the_discriminator_sees_each_image_once_an_iteration(
    gan_options, model_of, batch_of, iterate
):
    model, seen = model_of(gan_options), []
    model.net_d.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    iterate(model, batch_of(1), 1)
    assert seen == [2, 2]


# The loss curve


TOLERANCES = {'l_pixel': 1e-3, 'l_gan': 0.03, 'l_d_fake': 0.03}
"""Relative; what rounding has become after 200 iterations: adversaries amplify it."""


def without_spectral_norm(model):
    """Remove what depends on the number of passes."""
    for layer in model.net_d.modules():
        if hasattr(layer, 'weight_orig'):
            nn.utils.remove_spectral_norm(layer)
            torch.manual_seed(0)
            layer.reset_parameters()
    train = model.options.train
    model.step.optimisation['d'] = Optimisation(
        model.net_d, train.optim_d, scheduler=train.scheduler
    )


def judge_apart(step):
    """Let each side make its own pass of the discriminator."""

    def judge(output, gt, discriminator=None):
        loss = step.adversary.generator_loss(output, gt)
        return Judgement(loss, *step.adversary.discriminator_loss(output, gt, discriminator))

    step.adversary.judge = judge


def curve(model, batch_of, iterations=200, *, iterate):
    without_spectral_norm(model)
    logs = [iterate(model, batch_of(i), i) for i in range(1, iterations + 1)]
    return {k: torch.stack([log[k] for log in logs]) for k in ('l_pixel', 'l_gan', 'l_d_fake')}


@pytest.fixture
def plain_curve(gan_options, model_of, batch_of, iterate):
    options = copy.deepcopy(gan_options)
    options['train']['optim_g']['foreach'] = options['train']['optim_d']['foreach'] = False
    model = model_of(options)
    judge_apart(model.step)
    return curve(model, batch_of, iterate=iterate)


def test_losses_of_200_iterations_are_those_of_the_plain_step(
    gan_options, model_of, plain_curve, batch_of, iterate
):
    """A shared pass of the discriminator, fused optimisers and channels_last together."""
    gan_options['train']['speed'] = 'channels_last'
    fast = curve(model_of(gan_options), batch_of, iterate=iterate)
    assert plain_curve['l_pixel'][-20:].mean() < 0.9 * plain_curve['l_pixel'][:5].mean()
    for name, values in plain_curve.items():
        difference = (fast[name] - values).abs() / values
        assert difference[:10].max() < 1e-4, name
        assert difference.max() < TOLERANCES[name], name


def test_accumulated_batches_teach_the_discriminator_what_one_large_batch_does(
    gan_options, model_of, batch_of, iterate
):
    gan_options['train']['optim_g'] = gan_options['train']['optim_d'] = {'type': 'SGD', 'lr': 0.1}
    whole = model_of(gan_options)
    gan_options['train']['accumulate'] = 2
    parts = model_of(gan_options)
    for model in (whole, parts):
        without_spectral_norm(model)
    data = batch_of(1, count=4)
    halves = [{k: v[i : i + 2] for k, v in data.items()} for i in (0, 2)]
    one = iterate(whole, data, 1)
    two = iterate(parts, halves, 1)
    assert two['l_d_real'].item() == pytest.approx(one['l_d_real'].item(), rel=1e-5)
    for name, network in whole.step.networks().items():
        for ours, theirs in zip(
            network.parameters(), parts.step.networks()[name].parameters(), strict=True
        ):
            assert torch.allclose(ours, theirs, atol=1e-7)


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
    amp, gan_options, model_of, monkeypatch, adapt, iterate
):
    adapt(gan_options)
    gan_options['datasets']['train']['gt_size'] = 64
    gan_options['train'] |= {'amp': amp, 'clip_grad_norm': 1.0}
    gan_options['train']['quality_opt'] = {
        'type': 'QualityLoss',
        'scorer': {'type': 'RankerScorer'},
        'loss_weight': 0.1,
    }
    model = model_of(gan_options)
    pairs = Pairs(torch.rand(2, 3, 16, 16), torch.rand(2, 3, 64, 64))
    model.preparation = lambda *_: (pairs, {})
    for name in ('tolist', 'cpu', 'numpy'):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    with ForbidWaiting():
        log = iterate(model, {}, 2)  # the first one looks at the start
    monkeypatch.undo()
    assert {'q_quality', 'l_gan', 'l_d_real', 'grad_norm_g'} <= log.keys()


def test_frozen_weights_never_hold_gradients(gan_options, model_of, batch_of, adapt, iterate):
    adapt(gan_options)
    model = model_of(gan_options)
    held = []
    step = model.step.step_optimizer

    def look(which, log):
        held.extend(n for n, p in model.net_g.named_parameters() if p.grad is not None)
        step(which, log)

    model.step.step_optimizer = look
    iterate(model, batch_of(1), 1)
    assert held
    assert all('.lora_' in name for name in held)
    assert all(p.grad is None for n in model.step.networks().values() for p in n.parameters())
