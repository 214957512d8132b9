"""Half precision on a device."""

import math

import pytest
import torch

pytestmark = pytest.mark.cuda

ITERATIONS = 10


@pytest.mark.parametrize('kind', ['l1', 'gan', 'quality', 'lora'])
@pytest.mark.parametrize('amp', ['bf16', 'fp16'])
def test_half_precision_learns_what_single_precision_does(amp, kind, options_of, trained, device):
    if device.type == 'cpu':
        pytest.skip('half precision of a GPU; that of the CPU: tests/models/test_precision.py')
    plain = trained(options_of(kind), device, ITERATIONS)
    options = options_of(kind)
    options['train']['amp'] = amp
    half = trained(options, device, ITERATIONS)
    assert half.model.is_finite()
    for iteration, (own, theirs) in enumerate(zip(half.logs, plain.logs, strict=True), 1):
        assert all(map(math.isfinite, own.values())) or amp == 'fp16', f'{iteration}: {own}'
        # The term's weight is measured from a gradient that rounding changes; its score is not.
        for name in (n for n in theirs if n[:2] in ('l_', 'q_') and n != 'l_quality'):
            near = pytest.approx(theirs[name], rel=0.05, abs=1e-4)
            assert own[name] == near, f'{name} of iteration {iteration}: {own} for {theirs}'
    assert {p.dtype for p in half.model.net_g.parameters()} == {torch.float32}
