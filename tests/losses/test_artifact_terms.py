import re

import numpy as np
import pytest
import torch
from basicsr.losses.gan_loss import GANLoss
from basicsr.losses.loss_util import get_refined_artifact_map
from torch import nn

from iqasr.archs.patch_discriminator import PatchDiscriminator
from iqasr.archs.rrdb_pixel_shuffle import RRDBPSNet
from iqasr.data.candidates.hggt import write_votes
from iqasr.losses import (
    Adversary,
    LDLLoss,
    Negative,
    NegativeLoss,
    RelativisticGANLoss,
    negative_map,
    negative_of,
)
from iqasr.losses.ldl_loss import artifact_map
from iqasr.sampling.labels import Label


def images(count, seed=0, size=12):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 2, 3, size, size, generator=generator)


def local_variance(residual, side):
    """Variance with n - 1 in a window around every pixel of (H, W), reflected at the border."""
    padded = np.pad(residual, side // 2, mode='reflect')
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
    return windows.var(axis=(2, 3), ddof=1)


def ldl_by_hand(gt, output, average):
    total = []
    for y, x, a in zip(gt.numpy(), output.numpy(), average.numpy(), strict=True):
        residual, smoother = abs(y - x).sum(0), abs(y - a).sum(0)
        weight = residual.var(ddof=1) ** 0.2 * local_variance(residual, 7)
        weight[residual < smoother] = 0
        total.append(abs(weight * x - weight * y).mean())
    return np.mean(total)


def test_ldl_is_the_published_sum():
    gt, output, average = images(3)
    loss = LDLLoss(loss_weight=2.0)(output, gt, average=average)
    assert loss.item() == pytest.approx(2 * ldl_by_hand(gt, output, average), rel=1e-5)


def test_ldl_without_an_average_has_a_map_without_zeros():
    gt, output, _ = images(3)
    loss = LDLLoss()(output, gt)
    assert loss.item() == pytest.approx(ldl_by_hand(gt, output, gt), rel=1e-5)
    assert (artifact_map(gt, output, None) > 0).all()


def test_an_average_that_is_no_better_than_the_output_leaves_the_map():
    gt, output, _ = images(3)
    assert torch.equal(artifact_map(gt, output, output), artifact_map(gt, output, None))


def test_the_artifact_map_is_that_of_basicsr():
    gt, output, average = images(3, seed=1)
    theirs = get_refined_artifact_map(gt, output, average, 7)
    assert torch.allclose(artifact_map(gt, output, average), theirs, rtol=1e-5)
    assert 0.2 < (theirs == 0).float().mean() < 0.8


def test_the_gradient_flows_through_the_map_unless_detached():
    gt, output, average = images(3)
    weight = artifact_map(gt, output, average)
    gradients = {}
    for detach in (True, False):
        leaf = output.clone().requires_grad_()
        LDLLoss(detach_map=detach)(leaf, gt, average=average).backward()
        gradients[detach] = leaf.grad
    by_hand = weight * (output - gt).sign() / gt.numel()
    assert torch.allclose(gradients[True], by_hand, atol=1e-8)
    assert (gradients[False] - by_hand).abs().max() > 1e-5


def test_ldl_of_a_perfect_output_has_a_finite_gradient():
    gt, _, average = images(3)
    leaf = gt.clone().requires_grad_()
    LDLLoss()(leaf, gt, average=average).backward()
    assert leaf.grad.isfinite().all()


def test_an_even_window_is_refused():
    with pytest.raises(ValueError, match='window is 4; use an odd number'):
        LDLLoss(window=4)


def test_the_negative_map_is_the_published_one():
    original, negative, positive = images(3, seed=2)
    votes = torch.tensor([[[[2 / 3]]], [[[1.0]]]]), torch.tensor([[[[1.0]]], [[[0.0]]]])
    found = negative_map(original, negative, positive, *votes)[:, 0].numpy()
    for k, (own, worse, better) in enumerate(zip(original, negative, positive, strict=True)):
        weights = [
            share[k].item() * local_variance(abs(own - other).sum(0).numpy(), 3) ** 0.75
            for share, other in zip(votes, (worse, better), strict=True)
        ]
        if k == 0:  # the second image has no positive, so nothing is taken away
            weights[0][weights[1] >= weights[0]] = 0
        assert np.allclose(found[k], weights[0], rtol=1e-4)
    assert (found[0] == 0).any()
    assert (found[1] > 0).all()


def test_the_negative_term_is_minus_the_weighted_distance():
    output, negative, _ = images(3, seed=3)
    where = torch.rand(2, 1, 12, 12)
    loss = NegativeLoss()(output, negative=Negative(negative, where))
    expected = -300 * np.mean(where.numpy() * abs(output - negative).numpy())
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_the_negative_term_says_that_it_needs_negatives():
    output, gt, _ = images(3)
    with pytest.raises(ValueError, match=r'NegativeLoss needs negative=.*RestorationModel gives'):
        NegativeLoss()(output, gt)


def test_negatives_of_a_batch_are_weighted_by_their_map():
    original, negative, positive = (x.mul(255).round().byte() for x in images(3, seed=2))
    agreement = torch.tensor([[2 / 3, 1.0], [1.0, 0.0]])
    judged = {'image': negative, 'positive': positive, 'agreement': agreement}
    found = negative_of(judged, original / 255)
    shares = agreement.view(2, 2, 1, 1, 1).unbind(1)
    expected = negative_map(original / 255, negative / 255, positive / 255, *shares)
    assert torch.equal(found.image, negative / 255)
    assert torch.equal(found.weight, expected)
    assert found.weight.shape == (2, 1, 12, 12)


def test_a_batch_without_negatives_gives_zero_and_a_gradient_of_zero():
    output = images(1)[0].requires_grad_()
    nothing = torch.zeros(2, 1, 12, 12)
    loss = NegativeLoss()(output, negative=Negative(torch.zeros_like(output), nothing))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(output.grad, torch.zeros_like(output))


@pytest.mark.parametrize('kind', ['vanilla', 'lsgan', 'wgan', 'wgan_softplus'])
def test_relativistic_losses_compare_with_the_mean_of_the_others(kind):
    output, gt = images(2, seed=4)
    discriminator = nn.Conv2d(3, 1, 3)
    real, fake = discriminator(gt).detach(), discriminator(output).detach()
    plain, loss = GANLoss(kind), RelativisticGANLoss(kind, loss_weight=0.1)
    generator = 0.05 * (
        plain(real - fake.mean(), False) + plain(fake - real.mean(), True)
    )  # fmt: skip
    adversary = Adversary(discriminator, loss)
    term = adversary.generator_loss(output, gt)
    assert term.item() == pytest.approx(generator.item(), rel=1e-5)
    total, log = adversary.discriminator_loss(output, gt)
    of_real = plain(real - fake.mean(), True, is_disc=True) / 2
    of_fake = plain(fake - real.mean(), False, is_disc=True) / 2
    assert log['l_d_real'].item() == pytest.approx(of_real.item(), rel=1e-5)
    assert total.item() == pytest.approx((of_real + of_fake).item(), rel=1e-5)


def test_patches_see_70_pixels():
    network = PatchDiscriminator(num_feat=4, spectral=False)
    image = torch.rand(1, 3, 128, 128, requires_grad=True)
    logits = network(image)
    assert logits.shape == (1, 1, 14, 14)
    logits[0, 0, 7, 7].backward()
    rows = image.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert rows.max() - rows.min() + 1 == 70


@pytest.mark.parametrize('scale', [1, 2, 4])
def test_pixel_shuffle_rrdb_reaches_its_scale_with_the_names_of_hggt(scale):
    network = RRDBPSNet(scale=scale, num_feat=8, num_block=1, num_grow_ch=4)
    assert network(torch.rand(1, 3, 8, 8)).shape[-1] == 8 * scale
    names = network.state_dict().keys()
    assert {'upsample.0.weight', 'upsample.2.weight', 'conv_hr.weight'} <= names
    assert not {'conv_up1.weight', 'conv_up2.weight'} & names


@pytest.fixture
def judged_options(candidates, candidate_options, tmp_path):
    """Candidates of which, in every other group, people judged the second worse."""
    for number in range(10):
        second = Label.NEGATIVE if number % 2 else Label.SIMILAR
        votes = {'01': Label.POSITIVE, '02': second}
        for who in 'ABC':
            (tmp_path / 'labels' / who).mkdir(parents=True, exist_ok=True)
            path = tmp_path / 'labels' / who / f'{number:02d}.json'
            write_votes(str(path), f'{number:02d}', votes)
    candidate_options['datasets']['train']['dataroot_labels'] = str(tmp_path / 'labels')
    candidate_options['train'] |= {
        'negative_opt': {'type': 'NegativeLoss'},
        'ldl_opt': {'type': 'LDLLoss'},
        'gan_opt': {'type': 'RelativisticGANLoss', 'loss_weight': 0.1},
    }
    candidate_options['network_d'] = {'type': 'PatchDiscriminator', 'num_feat': 4, 'num_layers': 2}
    return candidate_options


@pytest.mark.parametrize('sampler', ['UniformSampler', 'ArgmaxSampler'])
def test_training_with_all_terms_continues_exactly(
    sampler, judged_options, train, weights_of, same_weights, capsys
):
    judged_options['train']['total_iter'] = 4
    judged_options['logger']['save_checkpoint_freq'] = 2
    data = judged_options['datasets']['train']
    data['sampling'] = {'type': sampler, 'candidates': 'original+positives'}
    if sampler == 'ArgmaxSampler':
        scorer = {'scorer': {'type': 'RankerScorer'}}
        data |= {'gt_size': 64, 'margin': 0, 'quality': scorer}
    assert train(judged_options) == 0
    values = [float(v) for v in re.findall(r'l_negative ([^\s,]+)', capsys.readouterr().err)]
    assert min(values) < 0
    whole = weights_of(judged_options, 4)
    judged_options['train']['total_iter'] = 2
    assert train(judged_options) == 0
    judged_options['train']['total_iter'] = 4
    assert train(judged_options, '--auto_resume') == 0
    same_weights(weights_of(judged_options, 4), whole)


REFUSALS = {
    'ldl': ({'ema_decay': 0}, 'train.ema_decay: is required by train.ldl_opt'),
    'gan': ({'gan_opt': {'type': 'GANLoss', 'gan_type': 'wgam'}}, 'GAN type wgam is not impl'),
}


def test_a_discriminator_for_another_size_is_refused(judged_options, train, capsys):
    judged_options['network_d'] = {'type': 'VGGStyleDiscriminator', 'num_in_ch': 3, 'num_feat': 4}
    assert train(judged_options) == 2
    assert 'judges images of 128 px, but datasets.train.gt_size is 32' in capsys.readouterr().err


@pytest.mark.parametrize('kind', REFUSALS)
def test_terms_that_lack_something_are_refused(kind, judged_options, train, capsys):
    judged_options['train'] |= REFUSALS[kind][0]
    assert train(judged_options) == 2
    assert REFUSALS[kind][1] in capsys.readouterr().err


def test_the_negative_term_needs_labelled_candidates(paired_options, train, capsys):
    paired_options['train']['negative_opt'] = {'type': 'NegativeLoss'}
    assert train(paired_options) == 2
    assert 'train.negative_opt: needs a training set of type MultiGT' in capsys.readouterr().err
