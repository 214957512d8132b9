import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from iqasr.archs.sizes import SizeRequirements
from iqasr.models.restorer import restore_whole
from iqasr.models.sample_preparation import crop_at


def paired_batch(count=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        'lq': torch.rand(count, 3, 8, 8, generator=generator),
        'gt': torch.rand(count, 3, 32, 32, generator=generator),
    }


def test_one_step_is_a_step_of_the_optimiser(paired_options, model_of, iterate):
    model = model_of(paired_options)
    reference = type(model.net_g)(num_feat=8, num_block=1, upscale=4)
    reference.load_state_dict(model.net_g.state_dict())
    optimizer = torch.optim.Adam(reference.parameters(), lr=1e-3)
    for iteration in range(1, 4):
        data = paired_batch(seed=iteration)
        log = iterate(model, data, iteration)
        loss = (reference(data['lq']) - data['gt']).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert log['l_pixel'].item() == pytest.approx(loss.item(), rel=1e-6)
    for ours, theirs in zip(model.net_g.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-7)


def test_averaged_weights_follow_the_formula(paired_options, model_of, iterate):
    model = model_of(paired_options)
    average = {k: v.clone() for k, v in model.net_g.named_parameters()}
    for iteration in (1, 2):
        iterate(model, paired_batch(), iteration)
        for key, value in model.net_g.named_parameters():
            average[key] = 0.9 * average[key] + 0.1 * value.detach()
    for key, value in model.net_g_ema.named_parameters():
        assert torch.allclose(value, average[key], atol=1e-7)


def test_statistics_of_batches_are_taken_over_not_averaged(paired_options, model_of, iterate):
    model = model_of(paired_options)
    norms = [nn.BatchNorm2d(8), nn.BatchNorm2d(8).eval()]
    for network, norm in zip((model.net_g, model.net_g_ema), norms, strict=True):
        network.body.append(norm)
    iterate(model, paired_batch(), 1)
    assert norms[0].running_mean.abs().max() > 0
    assert torch.equal(norms[1].running_mean, norms[0].running_mean)
    assert norms[1].num_batches_tracked == 1


class CountOperations(TorchDispatchMode):
    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))


def test_averaging_is_one_operation_however_large_the_network(paired_options, model_of):
    paired_options['network_g']['num_block'] = 8
    model = model_of(paired_options)
    with CountOperations() as counted:
        model.step.update_average()
    assert counted.count == 1


def test_warm_up_is_linear_and_leaves_the_scheduler_alone(paired_options, model_of, iterate):
    paired_options['train'] |= {
        'warmup_iter': 4,
        'scheduler': {'type': 'CosineAnnealingLR', 'T_max': 10},
    }
    model = model_of(paired_options)
    used = []
    plain = model.step.optimisation['g'].optimizer.step
    model.step.optimisation['g'].optimizer.step = lambda: (
        used.append(model.step.optimisation['g'].optimizer.param_groups[0]['lr']),
        plain(),
    )
    reference = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=1e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(reference, T_max=10)
    expected = []
    for iteration in range(1, 9):
        iterate(model, paired_batch(), iteration)
        expected.append(reference.param_groups[0]['lr'] * min(iteration / 4, 1))
        reference.step()
        scheduler.step()
    assert used == pytest.approx(expected, rel=1e-12)


def test_clipping_bounds_the_step(paired_options, model_of, iterate):
    paired_options['train'] |= {
        'clip_grad_norm': 1e-3,
        'optim_g': {'type': 'SGD', 'lr': 1.0},
    }
    model = model_of(paired_options)
    before = [p.detach().clone() for p in model.net_g.parameters()]
    log = iterate(model, paired_batch(), 1)
    moved = sum(((p - b) ** 2).sum() for p, b in zip(model.net_g.parameters(), before, strict=True))
    assert log['grad_norm_g'] > 1e-3
    assert moved.sqrt().item() == pytest.approx(1e-3, rel=1e-3)


def test_the_original_is_degraded_and_the_choice_is_the_target(candidate_options, model_of):
    data = candidate_options['datasets']['train']
    data |= {'degradation': {'type': 'BicubicDegradation'}, 'queue_size': 0}
    model = model_of(candidate_options)
    generator = torch.Generator().manual_seed(1)
    data = {
        'original': torch.randint(0, 256, (2, 3, 64, 64), generator=generator, dtype=torch.uint8),
        'gt': torch.randint(0, 256, (2, 3, 32, 32), generator=generator, dtype=torch.uint8),
        'offset': torch.tensor([[0, 8], [32, 20]]),
        'choice': torch.tensor([1, 2]),
        'perplexity': torch.ones(2),
        'quality': torch.zeros(2, 3),
    }
    fed, log = model.preparation(data, 0)
    whole = model.preparation.degradation(data['original'].float() / 255, torch.Generator())
    assert torch.equal(fed.lq[0], whole[0, :, 0:8, 2:10])
    assert torch.equal(fed.lq[1], whole[1, :, 8:16, 5:13])
    assert torch.equal(fed.gt, data['gt'].float() / 255)
    assert [log[f'choice_{k}'].item() for k in range(3)] == [0, 0.5, 0.5]


def test_crops_are_taken_at_each_image_s_own_place():
    image = torch.arange(2 * 16.0).view(2, 1, 4, 4)
    crops = crop_at(image, torch.tensor([[0, 1], [2, 2]]), 2)
    assert crops.flatten().tolist() == [1, 2, 5, 6, 26, 27, 30, 31]


SWINIR = {
    'type': 'SwinIR',
    'upscale': 4,
    'window_size': 8,
    'img_size': 16,
    'depths': [1],
    'embed_dim': 8,
    'num_heads': [2],
    'upsampler': 'pixelshuffledirect',
}


@pytest.mark.parametrize('size', [(16, 16), (17, 23), (9, 40)])
def test_windowed_networks_take_any_size(size, paired_options, model_of):
    paired_options['network_g'] = SWINIR
    model = model_of(paired_options)
    output = model.restore(torch.rand(1, 3, *size))
    assert output.shape[-2:] == (size[0] * 4, size[1] * 4)
    assert torch.equal(output, output.clamp(0, 1))


@pytest.mark.parametrize('size', [(8, 20), (20, 8), (9, 9)])
def test_images_smaller_than_what_they_lack_are_padded(size):
    network = nn.Identity()
    network.size_requirements = SizeRequirements(minimum=16)
    lq = torch.rand(1, 3, *size)
    assert torch.equal(restore_whole(network, lq, 1), lq)


@pytest.mark.parametrize('lora', [None, {'rank': 2, 'target': ['*']}])
def test_base_is_what_the_network_was_before_the_run(
    lora, paired_options, model_of, tmp_path, iterate
):
    paired_options['network_g'] = SWINIR
    pretrained = tmp_path / 'base.pth'
    torch.save({'params': model_of(paired_options, seed=5).net_g.state_dict()}, pretrained)
    paired_options['path']['pretrain_network_g'] = str(pretrained)
    paired_options['val']['metrics']['distance'] = {'type': 'calculate_base_distance'}
    if lora:
        paired_options['lora'] = lora
    model = model_of(paired_options)
    lq = torch.rand(1, 3, 9, 12, generator=torch.Generator().manual_seed(0))
    start = model.restore(lq)
    assert torch.equal(model.base(lq).clamp(0, 1), start)
    for iteration in (1, 2, 3):
        iterate(model, paired_batch(), iteration)
    assert torch.equal(model.base(lq).clamp(0, 1), start)
    assert not torch.equal(model.restore(lq), start)
    assert model.net_g.training


def test_a_non_finite_loss_or_weight_is_seen(paired_options, model_of, iterate):
    model = model_of(paired_options)
    iterate(model, paired_batch(), 1)
    assert model.is_finite()
    bad = paired_batch()
    bad['gt'][0, 0, 0, 0] = float('inf')
    iterate(model, bad, 2)
    assert not model.is_finite()
    assert model.non_finite() == ['l_pixel']


def test_one_weight_that_is_not_finite_is_named(paired_options, model_of):
    model = model_of(paired_options)
    model.net_g.conv_hr.bias.data[2] = float('nan')
    assert not model.is_finite()
    assert model.non_finite() == ['net_g.conv_hr.bias']


def test_initial_weights_depend_on_the_seed_alone(paired_options, model_of, same_weights):
    torch.manual_seed(5)
    first = model_of(paired_options, seed=3).net_g.state_dict()
    torch.manual_seed(6)
    same_weights(first, model_of(paired_options, seed=3).net_g.state_dict())
    other = model_of(paired_options, seed=4).net_g.state_dict()
    assert not torch.equal(first['conv_first.weight'], other['conv_first.weight'])


# The base


@pytest.fixture(params=['full', 'lora'])
def base_options(request, paired_options, model_of, tmp_path):
    path = tmp_path / 'base.pth'
    torch.save({'params': model_of(paired_options, seed=5).net_g.state_dict()}, path)
    paired_options['path']['pretrain_network_g'] = str(path)
    paired_options['train']['base_opt'] = {'type': 'BaseDistanceLoss', 'loss_weight': 0.5}
    if request.param == 'lora':
        paired_options['lora'] = {'rank': 2, 'target': ['body.*', 'upconv*']}
    return paired_options


def test_distance_to_the_base_is_0_at_first_and_then_that_to_the_weights_started_from(
    base_options, model_of, iterate
):
    model = model_of(base_options)
    reference = type(model.net_g)(num_feat=8, num_block=1, upscale=4)
    reference.load_state_dict(torch.load(base_options['path']['pretrain_network_g'])['params'])
    logged = []
    for iteration in range(1, 4):
        data = paired_batch(seed=iteration)
        with torch.no_grad():
            distance = (model.net_g(data['lq']) - reference(data['lq'])).abs().mean().item()
        log = iterate(model, data, iteration)
        assert log['l_base'].item() == pytest.approx(0.5 * distance, rel=1e-5)
        logged.append(log['l_base'].item())
    assert logged[0] == 0 < min(logged[1:])


def test_base_output_has_no_gradient_takes_any_size_and_leaves_the_network_alone(
    base_options, model_of, iterate
):
    model, lq = model_of(base_options), torch.rand(1, 3, 7, 9)
    first = model.base(lq)
    assert first.shape == (1, 3, 28, 36)
    assert not first.requires_grad
    iterate(model, paired_batch(), 1)
    now = model.net_g(lq)
    assert torch.equal(model.base(lq), first)
    assert torch.equal(model.net_g(lq), now)
    assert not torch.equal(now, first)
    assert model.net_g.training
    assert model.base.network is model.net_g or not any(
        p.requires_grad for p in model.base.network.parameters()
    )


def test_accumulated_batches_have_the_loss_of_one_with_the_base_too(
    base_options, model_of, iterate
):
    base_options['train']['optim_g'] = {'type': 'SGD', 'lr': 0.1}
    whole, parts = model_of(base_options), model_of(base_options)
    for iteration in (1, 2):
        data = paired_batch(4, seed=iteration)
        halves = [{k: v[i : i + 2] for k, v in data.items()} for i in (0, 2)]
        one = iterate(whole, [data], iteration)
        two = iterate(parts, halves, iteration)
        assert two['l_base'].item() == pytest.approx(one['l_base'].item(), rel=1e-4)
    assert two['l_base'] > 0
    for ours, theirs in zip(whole.net_g.parameters(), parts.net_g.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_base_is_kept_only_where_it_is_needed_or_free(base_options, model_of):
    model = model_of(base_options)
    assert model.base is not None
    assert (model.base.network is model.net_g) == ('lora' in base_options)
    del base_options['train']['base_opt']
    assert (model_of(base_options).base is not None) == ('lora' in base_options)
