import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from iqasr.losses import CheckerboardLoss
from iqasr.registry import LOSS_REGISTRY, build


@pytest.fixture
def gt():
    return torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))


def measure(output, gt, period):
    """The two parts by NumPy, place by place."""
    y, error = output.numpy().astype(float), (output - gt).numpy().astype(float)
    places = range(period)
    cells = [[error[:, :, i::period, j::period].mean((0, 2, 3)) for j in places] for i in places]
    dots = 100 * np.array(cells).reshape(-1, y.shape[1]).std(0).mean()
    steps = 0
    for axis in (2, 3):
        change = np.moveaxis(np.abs(np.diff(y, axis=axis)), axis, -1)
        change = change[..., : change.shape[-1] // period * period]
        means = np.array([change[..., i::period].mean() for i in places])
        steps += means.std() / means.mean()
    return dots, steps


@pytest.mark.parametrize('period', [2, 3, 4])
def test_parts_are_those_of_an_independent_computation(gt, period):
    size = [side // period * period for side in gt.shape[2:]]
    gt = gt[..., : size[0], : size[1]]
    output = gt.clone()
    output[..., ::period, 1::period] += 0.1
    loss = CheckerboardLoss(period=period)(output, gt).item()
    assert loss == pytest.approx(sum(measure(output, gt, period)), rel=1e-4)


def test_a_dot_of_one_percent_at_each_input_pixel_counts_its_standard_deviation(gt):
    output = gt.clone()
    output[..., ::4, ::4] += 0.01
    dots, _ = measure(output, gt, 4)
    assert dots == pytest.approx((1 / 16 - 1 / 256) ** 0.5, rel=1e-4)


def test_patterns_count_and_texture_does_not(gt):
    loss = CheckerboardLoss(period=4)
    texture = gt.roll(2, 3)
    blocks = interpolate(gt[..., ::4, ::4], scale_factor=4, mode='nearest')
    assert loss(gt, gt) < 0.1
    assert loss(texture, gt) < 4 < loss(blocks, gt)
    assert loss(blocks, blocks) > 3.4  # blocks are no better for being asked for


def test_gradient_removes_a_pattern_and_is_finite_without(gt):
    pattern = torch.zeros(1, 1, 4, 4, requires_grad=True)
    with torch.no_grad():
        pattern[..., 1, 2] = 0.05
    optimizer = torch.optim.Adam([pattern], lr=2e-3)
    for _ in range(60):
        optimizer.zero_grad()
        CheckerboardLoss(period=4)(gt + pattern.repeat(1, 1, 8, 12), gt).backward()
        optimizer.step()
    assert pattern.std() < 0.004
    flat = torch.full((1, 3, 16, 16), 0.5, requires_grad=True)
    CheckerboardLoss(period=4)(flat, flat.detach()).backward()
    assert flat.grad.isfinite().all()


def test_parts_of_a_batch_have_a_larger_loss_than_the_whole(gt):
    output = gt + 0.05 * torch.randn(gt.shape, generator=torch.Generator().manual_seed(1))
    loss = CheckerboardLoss(period=4)
    parts = (loss(output[:1], gt[:1]) + loss(output[1:], gt[1:])) / 2
    assert parts > 1.2 * loss(output, gt)


def test_half_precision_is_compared_in_full(gt):
    output = gt.roll(2, 3).half().requires_grad_()
    loss = CheckerboardLoss(period=4)(output, gt.half())
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, CheckerboardLoss(period=4)(output.float(), gt.half().float()))
    loss.backward()
    assert output.grad.isfinite().all()


def test_options():
    with pytest.raises(ValueError, match=r'period'):
        build(LOSS_REGISTRY, {'type': 'CheckerboardLoss'})
    with pytest.raises(ValueError, match=r'gt_size, 66, is no multiple of 4'):
        CheckerboardLoss(period=4).check_size(66)
    half = build(LOSS_REGISTRY, {'type': 'CheckerboardLoss', 'period': 4, 'loss_weight': 0.5})
    images = torch.rand(2, 1, 3, 8, 8)
    assert half(*images) == CheckerboardLoss(period=4)(*images) / 2
