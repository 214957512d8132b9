"""What an iteration must not do on a GPU: wait for it, or keep memory."""

import pytest
from devices import allocated_bytes, noted_waits

pytestmark = pytest.mark.cuda

KINDS = ['l1', 'gan', 'quality', 'lora', 'anchors', 'full reference', 'online', 'pool']

SMALL = 32 * 1024
"""Bytes: less than a crop. The scores of the first 20 iterations are kept, 512 bytes each."""


@pytest.mark.parametrize(
    ('kind', 'amp'), [*((kind, 'none') for kind in KINDS), ('l1', 'bf16'), ('gan', 'bf16')]
)
def test_iterations_do_not_wait_for_the_gpu(
    kind, amp, options_of, build, batches_of, iterate, device
):
    """From the third on: the first looks at the start, and calibration takes two."""
    options = options_of(kind)
    options['train']['amp'] = amp
    model, batches = build(options, device), batches_of(options, 5)
    iterate(model, batches[:2])
    with noted_waits(device) as places:
        iterate(model, batches[2:], first=3)
    assert not places, 'the host waits for the GPU here:\n' + '\n'.join(places)


@pytest.mark.parametrize('kind', KINDS)
def test_memory_does_not_grow(kind, options_of, build, batches_of, iterate, device):
    if device.type == 'cpu':
        pytest.skip('the memory of a GPU')
    options = options_of(kind)
    model, batches = build(options, device), batches_of(options, 3)
    iterate(model, batches)
    before = allocated_bytes(device)
    for iteration in range(4, 24):
        iterate(model, batches[-1:], first=iteration)
    grown = allocated_bytes(device) - before
    assert grown <= SMALL, f'{grown} bytes more after 20 iterations'
