"""Restoration on a device: whole images, tiles, and layouts of the network."""

import copy

import pytest
import torch
from devices import CPU, assert_near, assert_near_in_norm

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
