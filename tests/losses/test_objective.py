import pytest
import torch
import torch.nn.functional as F
from basicsr.losses import build_loss
from basicsr.losses.gan_loss import GANLoss
from torch import nn

from iqasr.losses import (
    Adversary,
    BaseDistanceLoss,
    Batch,
    LRConsistencyLoss,
    Objective,
    Term,
    build_term,
    term_inputs,
)
from iqasr.registry import LOSS_REGISTRY
from iqasr.runtime.errors import MissingWeightsError, OptionError


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    output, gt = torch.rand(2, 2, 3, 8, 8, generator=generator)
    return Batch(lq=output[..., ::4, ::4], gt=gt, output=output.requires_grad_())


def test_sum_and_log_of_weighted_terms(batch):
    terms = {
        'pixel': build_term({'type': 'L1Loss', 'loss_weight': 2.0}),
        'square': build_term({'type': 'MSELoss', 'loss_weight': 0.5}),
    }
    total, log = Objective(terms)(batch)
    l1 = 2 * (batch.output - batch.gt).abs().mean()
    l2 = 0.5 * ((batch.output - batch.gt) ** 2).mean()
    assert total.item() == pytest.approx((l1 + l2).item(), rel=1e-6)
    assert log['l_pixel'].item() == pytest.approx(l1.item(), rel=1e-6)
    assert not log['l_square'].requires_grad


def test_results_of_a_loss_are_added_and_absent_ones_left_out(batch):
    class Two(nn.Module):
        def forward(self, output, gt):
            return output.mean(), None

    assert Term(Two())(batch).item() == pytest.approx(batch.output.mean().item())


@pytest.mark.parametrize(
    ('section', 'found'),
    [
        ({'type': 'L1Loss', 'reduction': 'none'}, r'\(2, 3, 8, 8\)'),
        ({'type': 'PerceptualLoss', 'layer_weights': {'conv1_1': 1}, 'perceptual_weight': 0}, '0'),
    ],
)
def test_a_term_without_a_scalar_is_named(section, found, batch, vgg):
    objective = Objective({'pixel': build_term(section)})
    with pytest.raises(OptionError, match=f'train.pixel_opt: gives {found} instead of one number'):
        objective(batch)


# What a loss looks at


class Halfway(nn.Module):
    """Looks at the input, and at nothing else beside the output."""

    def forward(self, output, lq, iteration=None, unknown=3):
        return (output.mean() - lq.mean()) * iteration * unknown


def test_a_loss_gets_the_fields_it_names_and_nothing_else(batch):
    term = Term(Halfway())
    assert term.inputs == ('lq', 'iteration')
    expected = 3 * (batch.output.mean() - batch.lq.mean())
    assert term(batch).item() == pytest.approx(expected.item())


def test_sections_tell_what_their_losses_look_at(monkeypatch):
    class LDLLoss(nn.Module):
        def forward(self, output, gt, *, base):
            return (output - base).mean()

    assert term_inputs({'type': 'LDLLoss'}) == ('average',)
    assert term_inputs({'type': 'NegativeLoss', 'loss_weight': 1.0}) == ('negative',)
    assert term_inputs({'type': 'L1Loss'}) == term_inputs({'type': 'L2'}) == term_inputs({}) == ()
    monkeypatch.setitem(LOSS_REGISTRY._obj_map, 'LDLLoss_iqasr', LDLLoss)
    assert term_inputs({'type': 'LDLLoss'}) == ('base',)


@pytest.mark.parametrize(
    ('loss', 'missing'), [(LRConsistencyLoss(), 'lq'), (BaseDistanceLoss(), 'base')]
)
def test_a_loss_says_what_it_needs_beside_two_images(loss, missing, batch):
    with pytest.raises(ValueError, match=f'needs {missing}=.*RestorationModel gives it'):
        loss(batch.output, batch.gt)


def test_basicsr_builds_and_calls_our_losses(batch):
    sections = [
        {'type': 'LDLLoss', 'window': 3},
        {'type': 'QualityLoss', 'scorer': {'type': 'RankerScorer'}, 'loss_weight': 1.0},
    ]
    output, gt = torch.rand(2, 1, 3, 64, 64, requires_grad=True)
    for section in sections:
        (gradient,) = torch.autograd.grad(build_loss(section)(output, gt), output)
        assert gradient.abs().max() > 0


def test_losses_given_elsewhere_come_first_and_count(batch):
    given = {'gan': 2 * batch.output.sum()}
    total, log = Objective({'pixel': nn.MSELoss()}, given=given)(batch, given)
    assert list(log) == ['l_gan', 'l_pixel']
    expected = given['gan'] + (batch.output - batch.gt).square().mean()
    assert total.item() == pytest.approx(expected.item())


def test_perceptual_loss_compares_vgg_features(batch, vgg):
    layers = {'conv1_2': 0.1, 'conv2_2': 1.0}
    term = build_term({'type': 'PerceptualLoss', 'layer_weights': layers})
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    expected = 0.0
    for layer, weight in ((2, 0.1), (7, 1.0)):  # conv1_2 and conv2_2, before their ReLU
        out, gt = (vgg_features(vgg, (x - mean) / std, layer) for x in (batch.output, batch.gt))
        expected += weight * (out - gt).abs().mean()
    assert term(batch).item() == pytest.approx(expected.item(), rel=1e-5)


def vgg_features(network, image, layer):
    # Out of place: the in-place ReLU would spoil the features before it.
    for module in network.features[: layer + 1]:
        image = F.relu(image) if isinstance(module, nn.ReLU) else module(image)
    return image


@pytest.mark.usefixtures('no_weights')
def test_missing_pretrained_features_name_the_file():
    section = {'type': 'PerceptualLoss', 'layer_weights': {'conv1_2': 1}}
    with pytest.raises(MissingWeightsError, match=r'vgg19-dcbb9e9d\.pth'):
        build_term(section)
    with pytest.raises(MissingWeightsError, match=r'vgg16 (.|\n)*iqasr-weights import'):
        build_term(section | {'vgg_type': 'vgg16'})


def test_features_outside_the_catalogue_are_named_too(monkeypatch, tmp_path):
    def offline(*_, **__):
        raise OSError('no network')

    from basicsr.archs import vgg_arch

    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(vgg_arch.vgg, 'vgg11', offline)
    section = {'type': 'PerceptualLoss', 'layer_weights': {'conv1_1': 1}, 'vgg_type': 'vgg11'}
    with pytest.raises(MissingWeightsError, match=r'Put vgg11-.*\.pth into .*checkpoints'):
        build_term(section)


@pytest.fixture
def discriminator():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 3))


def test_generator_is_told_to_look_real(batch, discriminator):
    adversary = Adversary(discriminator, GANLoss('vanilla', loss_weight=0.1))
    loss = adversary.generator_loss(batch.output, batch.gt)
    expected = 0.1 * F.softplus(-discriminator(batch.output)).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    loss.backward()
    assert batch.output.grad.abs().sum() > 0


def test_generator_term_leaves_the_discriminator_alone(batch, discriminator):
    adversary = Adversary(discriminator, GANLoss('vanilla'))
    adversary.generator_loss(batch.output, batch.gt).backward()
    assert all(p.grad is None and p.requires_grad for p in discriminator.parameters())


@pytest.mark.parametrize('kind', ['vanilla', 'lsgan', 'hinge', 'wgan'])
def test_discriminator_loss_is_that_of_two_passes(kind, batch, discriminator):
    loss = GANLoss(kind)
    total, log = Adversary(discriminator, loss).discriminator_loss(batch.output, batch.gt)
    real, fake = discriminator(batch.gt), discriminator(batch.output.detach())
    expected = loss(real, True, is_disc=True) + loss(fake, False, is_disc=True)
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert log['out_d_real'].item() == pytest.approx(real.mean().item(), rel=1e-5)


def test_batch_statistics_do_not_mix_real_and_fake(batch):
    norm = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 1, 1))
    adversary = Adversary(norm, GANLoss('lsgan'))
    separate, _ = adversary.discriminator_loss(batch.output + 5, batch.gt)
    real = norm(batch.gt)
    expected = ((real - 1) ** 2).mean() + (norm(batch.output.detach() + 5) ** 2).mean()
    assert separate.item() == pytest.approx(expected.item(), rel=1e-5)


def test_total_variation_is_not_weighted_by_the_ground_truth(batch):
    term = build_term({'type': 'WeightedTVLoss'})
    output = batch.output
    expected = output.diff(dim=-1).abs().mean() + output.diff(dim=-2).abs().mean()
    assert term(batch).item() == pytest.approx(expected.item(), rel=1e-6)
