"""Masks are made once for a size, on the device, and change nothing."""

import copy

import pytest
import torch
from archs.test_spandrel_networks import OTHERS, SMALL
from basicsr.archs.swinir_arch import SwinIR

from iqasr.archs import spandrel_networks
from iqasr.archs.attention_masks import remember_masks
from iqasr.archs.spandrel_networks import spandrel

MASKED = ('DAT', 'DRCT', 'HAT', 'RGT', 'Swin2SR', 'SwinIR')
SHIFTED = {'DAT': {'depth': [3]}, 'RGT': {'depth': [3]}}
"""The third block is the first that shifts its windows."""

SIZES = [(16, 24), (40, 24), (40, 24), (16, 24)]


@pytest.fixture(params=MASKED)
def networks(request, monkeypatch):
    """A network as its authors wrote it, and one with the same weights that remembers."""
    options = (SMALL | OTHERS)[request.param] | SHIFTED.get(request.param, {})
    with monkeypatch.context() as patch:
        patch.setattr(spandrel_networks, 'remember_masks', lambda network: None)
        plain = spandrel(request.param, **options).eval()
    remembering = spandrel(request.param, **options).eval()
    remembering.load_state_dict(plain.state_dict())
    return plain, remembering


def count_calls(monkeypatch, network):
    """Count how often masks are made; returns the list of the sizes."""
    made = []
    for cls in {type(m) for m in network.modules() if hasattr(type(m), 'calculate_mask')}:
        original = cls.calculate_mask

        def counted(module, *size, original=original, **options):
            made.append(size)
            return original(module, *size, **options)

        monkeypatch.setattr(cls, 'calculate_mask', counted)
    return made


@torch.no_grad()
def test_outputs_stay_as_they_are_for_any_order_of_sizes(networks):
    plain, remembering = networks
    for size in SIZES:
        lq = torch.rand(1, 3, *size)
        assert torch.equal(plain(lq), remembering(lq))


@torch.no_grad()
def test_masks_are_made_when_the_size_changes(networks, monkeypatch):
    _, network = networks
    made = count_calls(monkeypatch, network)
    counts = []
    for size in SIZES:
        network(torch.rand(1, 3, *size))
        counts.append(len(made))
    assert counts[0] < counts[1] == counts[2] < counts[3]


def swinir():
    torch.manual_seed(0)
    sizes = {'img_size': 16, 'window_size': 8, 'depths': [4, 4], 'num_heads': [2, 2]}
    return SwinIR(**sizes, embed_dim=12, drop_path_rate=0.0)


def memory_of(network):
    return network.layers[0].residual_group.blocks[0].calculate_mask.func


@torch.no_grad()
def test_blocks_with_the_same_shift_share_a_mask(monkeypatch):
    network = swinir().eval()
    remember_masks(network)
    made = count_calls(monkeypatch, network)
    network(torch.rand(1, 3, 24, 32))
    assert made == [((24, 32),)] * 2


def test_gradients_stay_as_they_are():
    plain, remembering = swinir(), swinir()
    remember_masks(remembering)
    lq = torch.rand(1, 3, 24, 32)
    with torch.no_grad():
        remembering(lq)
    for network in (plain, remembering):
        network(lq).square().sum().backward()
    for own, other in zip(plain.parameters(), remembering.parameters(), strict=True):
        assert torch.equal(own.grad, other.grad)


@torch.no_grad()
def test_a_copy_remembers_for_itself():
    network = swinir().eval()
    remember_masks(network)
    twin, lq = copy.deepcopy(network), torch.rand(1, 3, 24, 32)
    calls = [m.calculate_mask for m in twin.modules() if hasattr(m, 'calculate_mask')]
    assert {call.args[0] for call in calls} <= set(twin.modules())
    assert len({id(call.func) for call in calls}) == 1
    assert calls[0].func is not memory_of(network)
    assert torch.equal(twin(lq), network(lq))


@torch.no_grad()
def test_a_mask_that_a_graph_reads_is_kept(monkeypatch):
    network = swinir().eval()
    remember_masks(network)
    memory, read = memory_of(network), torch.rand(1, 3, 24, 32)
    network(read)
    masks = [mask for _, mask in memory.newest.values()]
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, 'is_initialized', lambda: True)
        patch.setattr(torch.cuda, 'is_current_stream_capturing', lambda: True)
        network(read)
    network(torch.rand(1, 3, 32, 32))
    assert len(masks) == 2
    assert not {id(mask) for mask in masks} & {id(mask) for _, mask in memory.newest.values()}
    assert {id(mask) for mask in masks} == {id(mask) for mask in memory.captured}
