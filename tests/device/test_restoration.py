"""Restoration on a device: whole images, tiles, and layouts of the network."""

import copy

import pytest
import torch
from devices import CPU, assert_near, assert_near_in_norm, assert_same_movement, noted_waits

from iqasr.models import speed
from iqasr.models.cuda_graphs import CapturedNetwork
from iqasr.models.networks import build_from
from iqasr.models.speed import lay_out

pytestmark = pytest.mark.cuda

SIZES = [(37, 53), (24, 24), (5, 40)]


@pytest.mark.parametrize('size', SIZES)
def test_tiles_equal_the_whole_and_the_cpu(size, options_of, build, device):
    """The network sees 4 px of its input each way, which the tiles overlap by."""
    options = options_of('l1')
    whole, reference = build(options, device), build(options, CPU)
    options['val'] |= {'tile_px': 11, 'tile_overlap_px': 4}
    tiled = build(options, device)
    lq = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = reference.restore(lq)
    assert expected.std() > 0.05
    assert_near(whole.restore(lq.to(device)), expected, atol=1e-4)
    assert_near(tiled.restore(lq.to(device)), expected, atol=1e-4)


@torch.no_grad()
def test_networks_with_shifted_windows_do_not_wait(device):
    """Their masks are made for the first image of a size; the second is not waited for."""
    sizes = {'img_size': 16, 'window_size': 8, 'depths': [2], 'num_heads': [2], 'embed_dim': 12}
    network = build_from('network_g', {'type': 'SwinIR', **sizes}).eval()
    lq = torch.rand(1, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    expected, there = network(lq), lq.to(device)
    network.to(device)
    assert_near(network(there), expected, atol=1e-4)
    with noted_waits(device) as places:
        network(there)
    assert not places, 'the host waits for the GPU here:\n' + '\n'.join(places)


def output_and_gradient(called, network, lq):
    network.zero_grad()
    output = called(lq)
    output.square().mean().backward()
    return output, torch.cat([p.grad.flatten() for p in network.parameters()])


def require_compiler(device):
    """Skip on a stand-in, where compiling takes long, and where torch finds no compiler."""
    if device.type == 'cpu':
        pytest.skip('compiled on a GPU only')
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.ones(8, device=device))
    except RuntimeError as error:
        pytest.skip(f'torch.compile does not work here: {error}')


@pytest.mark.parametrize('layout', ['channels_last', 'plain compiled', 'channels_last compiled'])
def test_layouts_compute_the_same(layout, options_of, build, device):
    if 'compiled' in layout:
        require_compiler(device)
    network = build(options_of('l1'), device).net_g
    other = copy.deepcopy(network)
    called = lay_out(other, layout)
    lq = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0)).to(device)
    expected = output_and_gradient(network, network, lq)
    found = output_and_gradient(called, other, lq)
    assert_near(found[0], expected[0].cpu(), rtol=1e-4, atol=1e-5)
    assert_near_in_norm(found[1], expected[1], 1e-3)


@pytest.mark.parametrize('speed', ['channels_last', 'auto'])
def test_runs_in_other_layouts_learn_the_same(speed, options_of, trained, device):
    plain = trained(options_of('gan'), device, 3)
    options = options_of('gan')
    options['train']['speed'] = speed
    other = trained(options, device, 3)
    assert set(other.model.step.layouts.values()) <= {'plain', 'channels_last'}
    for own, theirs in zip(other.logs, plain.logs, strict=True):
        for name in (name for name in theirs if name.startswith('l_')):
            assert own[name] == pytest.approx(theirs[name], rel=1e-3), f'{name}: {own}, {theirs}'


@pytest.mark.parametrize(
    ('kind', 'amp'), [(k, 'none') for k in ('l1', 'gan', 'quality', 'lora')] + [('gan', 'bf16')]
)
def test_captured_runs_learn_the_same_and_do_not_wait(
    kind, amp, options_of, trained, batches_of, iterate, device, monkeypatch
):
    if device.type == 'cpu' and kind != 'l1':
        pytest.skip('captured on a GPU only; one kind keeps the test from rotting')
    options = options_of(kind)
    options['train']['amp'] = amp
    plain = trained(options, device, 6)
    monkeypatch.setattr(speed, 'fastest', lambda *given: given[-1][-1])
    options['train']['speed'] = 'graph'
    other = trained(options, device, 6)
    if device.type == 'cuda':
        assert other.model.step.layouts['net_g'] == 'channels_last captured'
        assert isinstance(other.model.step.train_g, CapturedNetwork)
    for own, theirs in zip(other.logs, plain.logs, strict=True):
        for name in (name for name in theirs if name.startswith('l_')):
            near = pytest.approx(theirs[name], rel=1e-2 if amp == 'none' else 5e-2, abs=1e-5)
            assert own[name] == near, f'{name}: {own}, {theirs}'
    found, expected = (run.model.net_g.state_dict() for run in (other, plain))
    assert_same_movement(found, expected, plain.start, 0.05 if amp == 'none' else 0.3)
    lq = torch.rand(1, 3, 21, 34, device=device)
    assert_near(other.model.restore(lq), plain.model.restore(lq), atol=5e-3)
    batches = batches_of(options, 2)
    with noted_waits(device) as places:
        iterate(other.model, batches, first=7)
    assert not places, 'the host waits for the GPU here:\n' + '\n'.join(places)
