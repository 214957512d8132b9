"""Attention in fewer passes: the same numbers as BasicSR's."""

import copy

import pytest
import torch
from basicsr.archs.swinir_arch import SwinIR, WindowAttention

from iqasr.archs.window_attention import FastWindowAttention, speed_up_attention
from iqasr.models.networks import build_from

SIZES = {'img_size': 16, 'window_size': 8, 'depths': [2], 'num_heads': [3], 'embed_dim': 12}


@pytest.fixture
def networks():
    torch.manual_seed(0)
    plain = SwinIR(**SIZES, drop_path_rate=0.0)
    for name, parameter in plain.named_parameters():
        if 'bias_table' in name:
            torch.nn.init.normal_(parameter)
    fast = copy.deepcopy(plain)
    speed_up_attention(fast)
    return plain, fast


@pytest.mark.parametrize('size', [(16, 16), (24, 40)])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_outputs_and_gradients_are_those_of_basicsr(size, dtype, networks):
    lq = torch.rand(2, 3, *size)
    found = []
    for network in networks:
        with torch.autocast('cpu', torch.bfloat16, enabled=dtype == torch.bfloat16):
            output = network(lq).float()
        output.square().mean().backward()
        found.append({'output': output} | {n: p.grad for n, p in network.named_parameters()})
    for name, expected in found[0].items():
        if 'bias_table' in name:  # a sum over windows, whose order differs
            assert (found[1][name] - expected).abs().max() <= 1e-5 * expected.abs().max()
        else:
            assert torch.equal(found[1][name], expected), name


def test_names_of_weights_and_layers_stay(networks):
    plain, fast = networks
    assert list(plain.state_dict()) == list(fast.state_dict())
    assert [name for name, _ in plain.named_modules()] == [n for n, _ in fast.named_modules()]
    fast.load_state_dict(plain.state_dict())


def test_the_networks_of_option_files_attend_so():
    network = build_from('network_g', {'type': 'SwinIR', **SIZES})
    kinds = [type(m) for m in network.modules() if isinstance(m, WindowAttention)]
    assert kinds == [FastWindowAttention] * 2
    assert {type(m) for m in copy.deepcopy(network).modules()} >= {FastWindowAttention}
