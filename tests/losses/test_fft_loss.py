import math

import pytest
import torch

from iqasr.losses import FFTLoss
from iqasr.registry import LOSS_REGISTRY, build


def test_by_hand_for_two_pixels():
    # Of the difference (1, 3): sum 4, alternating sum -2, both real; 4 numbers with imaginary ones.
    gt = torch.zeros(1, 1, 1, 2)
    assert FFTLoss()(torch.tensor([[[[1.0, 3.0]]]]), gt).item() == pytest.approx(6 / 4)
    loss = build(LOSS_REGISTRY, {'type': 'FFTLoss', 'loss_weight': 0.5, 'reduction': 'sum'})
    assert loss(torch.tensor([[[[1.0, 3.0]]]]), gt).item() == pytest.approx(3)


def test_against_sums_of_cosines_and_sines():
    generator = torch.Generator().manual_seed(0)
    output, gt = torch.rand(2, 1, 3, 4, 6, generator=generator).unbind()
    rows, columns = torch.arange(4.0), torch.arange(6.0)
    total = 0.0
    for u in range(4):
        for v in range(4):  # the rest of six is the conjugate
            angle = -2 * math.pi * (u * rows[:, None] / 4 + v * columns / 6)
            for part in (angle.cos(), angle.sin()):
                total += ((output - gt) * part).sum((-2, -1)).abs().sum().item()
    assert FFTLoss()(output, gt).item() == pytest.approx(total / (3 * 4 * 4 * 2), rel=1e-5)


def test_half_precision_is_compared_in_full():
    output = torch.rand(1, 3, 8, 8).half().requires_grad_()
    loss = FFTLoss()(output, torch.zeros(1, 3, 8, 8))
    assert loss.dtype == torch.float32
    loss.backward()
    assert output.grad.isfinite().all()
