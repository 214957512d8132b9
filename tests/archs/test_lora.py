import copy
import hashlib
import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from iqasr.archs.lora import (
    add_lora,
    add_low_rank,
    base_state,
    load_lora_state,
    lora_layers,
    lora_scale,
    lora_state,
    merged_state,
    set_lora_scale,
)
from iqasr.archs.lora_files import (
    base_hashes,
    is_same_base,
    merge_profiles,
    read_lora,
    save_lora,
)
from iqasr.options.lora import LoRAOptions, select_layers
from iqasr.registry import ARCH_REGISTRY, lookup
from iqasr.runtime.atomic_files import save_safetensors
from iqasr.runtime.errors import CheckpointError
from iqasr.runtime.randomness import generator_at
from iqasr.runtime.weights import load_file

RRDBNet, SwinIR, MSRResNet = (lookup(ARCH_REGISTRY, n) for n in ('RRDBNet', 'SwinIR', 'MSRResNet'))


def rrdb(num_block=1, num_feat=16, num_grow_ch=32):
    return RRDBNet(3, 3, num_feat=num_feat, num_block=num_block, num_grow_ch=num_grow_ch)


def swinir(**options):
    tiny = {'embed_dim': 12, 'depths': (2,), 'num_heads': (2,), 'window_size': 4, 'img_size': 8}
    fixed = {'upscale': 4, 'img_range': 1.0, 'mlp_ratio': 2, 'drop_path_rate': 0}
    return SwinIR(**(tiny | fixed | {'upsampler': 'pixelshuffle'} | options))


NETWORKS = {'RRDBNet': rrdb, 'SwinIR': swinir, 'MSRResNet': lambda: MSRResNet(3, 3, 8, 1)}


@pytest.fixture(params=NETWORKS)
def network(request):
    torch.manual_seed(0)
    return NETWORKS[request.param]()


@pytest.fixture
def lq(photographs):
    image = torch.from_numpy(photographs[0][:16, :16]).permute(2, 0, 1)[None]
    return image.float() / 255


def tuned(network, options=None, seed=1):
    """Give a network adapters that have learned something."""
    add_lora(network, options or LoRAOptions(rank=2, alpha=4), generator_at(seed, 'a'))
    generator = generator_at(seed, 'b')
    with torch.no_grad():
        for layer in lora_layers(network).values():
            layer.lora_b.normal_(std=0.05, generator=generator)
    return network.eval()


# The correction


def test_a_new_adapter_changes_nothing(network, lq):
    expected = network.eval()(lq)
    add_lora(network, LoRAOptions(), generator_at(0))
    assert torch.equal(network(lq), expected)


def test_the_knob_turned_for_a_while_shows_the_base_and_turns_back(network, lq):
    base = copy.deepcopy(network).eval()
    set_lora_scale(tuned(network), 0.5)
    halfway = network(lq)
    with lora_scale(network, 0):
        assert torch.equal(network(lq), base(lq))
    assert torch.equal(network(lq), halfway)
    assert not torch.equal(halfway, base(lq))


def test_a_is_kaiming_uniform():
    torch.manual_seed(5)
    expected = nn.init.kaiming_uniform_(torch.empty(8, 16, 3, 3), a=5**0.5)
    network = nn.Sequential(*(nn.Conv2d(16, 16, 3) for _ in range(3)))
    generator = torch.Generator().manual_seed(5)
    add_lora(network, LoRAOptions(target=['1']), generator)
    assert torch.allclose(network[1].lora_a, expected.flatten(1), atol=1e-7)
    assert not network[1].lora_b.any()


@pytest.mark.parametrize('rank', [1, 3])
def test_a_convolution_equals_two_convolutions_beside_it(rank):
    image = torch.randn(2, 4, 9, 7, generator=generator_at(0))
    network = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=2, dilation=2))
    plain = network(image)
    tuned(network, LoRAOptions(rank=rank, alpha=5, target=['0']))
    a, b = network[0].lora_a.view(rank, 4, 3, 3), network[0].lora_b.view(6, rank, 1, 1)
    inner = F.conv2d(image, a, stride=2, padding=2, dilation=2)
    assert torch.allclose(network(image), plain + 5 / rank * F.conv2d(inner, b), atol=1e-5)


def test_the_result_is_that_of_peft():
    peft = pytest.importorskip('peft')
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(128, 5))
    image = torch.randn(2, 3, 4, 4, generator=generator_at(0))
    config = peft.LoraConfig(r=2, lora_alpha=3, target_modules=['0', '2'])
    theirs = peft.inject_adapter_in_model(config, copy.deepcopy(network))
    tuned(network, LoRAOptions(rank=2, alpha=3, target=['0', '2']))
    for name, layer in lora_layers(network).items():
        pair = theirs.get_submodule(name)
        for ours, part in ((layer.lora_a, pair.lora_A), (layer.lora_b, pair.lora_B)):
            weight = part['default'].weight
            weight.data = ours.data.view(weight.shape)
    assert torch.allclose(network(image), theirs(image), atol=1e-5)
    network(image).square().sum().backward()
    theirs(image).square().sum().backward()
    for name, layer in lora_layers(network).items():
        gradient = theirs.get_submodule(name).lora_A['default'].weight.grad.flatten(1)
        assert torch.allclose(layer.lora_a.grad, gradient, rtol=1e-4, atol=1e-5)


def test_only_adapters_get_gradients(network, lq):
    tuned(network)(lq).sum().backward()
    with_gradient = {name for name, p in network.named_parameters() if p.grad is not None}
    assert with_gradient == lora_state(network).keys()
    assert all(p.grad.abs().sum() > 0 for p in network.parameters() if p.requires_grad)


def test_what_add_lora_returns_is_what_trains(network):
    parameters = add_lora(network, LoRAOptions(), generator_at(0))
    assert [id(p) for p in parameters] == [id(p) for p in network.parameters() if p.requires_grad]
    assert len(parameters) == len(lora_state(network))


# The knob and merging


def test_scale_0_is_the_base_exactly(network, lq):
    expected = network.eval()(lq)
    set_lora_scale(tuned(network), 0)
    assert torch.equal(network(lq), expected)


def test_the_knob_moves_the_output(network, lq):
    with torch.no_grad():
        base = network.eval()(lq)
        full = tuned(network)(lq)
        set_lora_scale(network, 0.5)
        half = network(lq)
    assert 0 < (half - base).abs().max() < (full - base).abs().max()


@pytest.mark.parametrize('scale', [0.5, 1])
def test_merged_weights_do_what_the_adapters_do(scale, network, lq):
    plain = copy.deepcopy(network).eval()
    set_lora_scale(tuned(network), scale)
    plain.load_state_dict(merged_state(network), strict=True)
    with torch.no_grad():
        assert (plain(lq) - network(lq)).abs().max() <= 1e-5


def test_autocast_sees_small_corrections_as_merged_weights_have_them(network, lq):
    base = copy.deepcopy(network)
    add_lora(network, LoRAOptions(rank=2), torch.Generator().manual_seed(0))
    for layer in lora_layers(network).values():
        nn.init.normal_(layer.lora_b, std=1e-5)
    base.load_state_dict(merged_state(network))
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(network(lq), base(lq))


@pytest.mark.parametrize('device', ['cpu', 'meta'])
def test_a_weight_keeps_its_precision_under_autocast(device):
    weight, a, b = (torch.ones(shape, device=device) for shape in ((4, 3, 1, 1), (2, 3), (4, 2)))
    with torch.autocast('cpu', torch.bfloat16):
        found = add_low_rank(weight, a, b, 2e-4)
    assert (found.dtype, found.shape) == (torch.float32, weight.shape)
    assert device == 'meta' or (found - 1.0002).abs().max() < 1e-6


def test_the_base_stays_as_it_was(network, same_weights):
    expected = copy.deepcopy(network.state_dict())
    same_weights(base_state(tuned(network)), expected)


class Repeated(nn.Module):
    """Uses one layer three times."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.body = nn.Sequential(*[nn.Conv2d(8, 8, 3, padding=1)] * 3)

    def forward(self, image):
        return self.body(self.first(image))


def test_a_layer_used_several_times_is_merged_and_saved_under_all_its_names(lq, tmp_path):
    network, merged = Repeated(), Repeated()
    base = copy.deepcopy(network)
    expected = tuned(network, LoRAOptions(rank=2, target=['body.*']))(lq)
    assert len(lora_state(network)) == 6
    save_lora(network, tmp_path / 'a.safetensors')
    profile = read_lora(tmp_path / 'a.safetensors')
    for state in (
        merged_state(network),
        merge_profiles(base.state_dict(), [(profile, 1.0)]),
        merge_profiles(as_saved(tmp_path / 'base.safetensors', base.state_dict()), [(profile, 1)]),
    ):
        merged.load_state_dict(state)
        with torch.no_grad():
            assert (merged(lq) - expected).abs().max() <= 1e-6
            assert (base(lq) - expected).abs().max() > 1e-2


def test_a_copy_is_independent(network, lq):
    tuned(network)
    other = copy.deepcopy(network)
    expected = other(lq)
    set_lora_scale(network, 0)
    for parameter in lora_state(network).values():
        parameter.zero_()
    assert torch.equal(other(lq), expected)


# Which layers


@pytest.mark.parametrize(
    ('build', 'layers', 'per_rank'),
    [
        (lambda: RRDBNet(3, 3, num_block=23), 346, 410_688 + 64 * 9 + 64),
        (
            lambda: swinir(embed_dim=180, depths=(6,) * 6, num_heads=(6,) * 6),
            144,
            77_760,
        ),
    ],
)
def test_the_published_sizes_have_the_parameters_counted_by_hand(build, layers, per_rank):
    network = build()
    parameters = add_lora(network, LoRAOptions(rank=8), generator_at(0))
    assert len(lora_layers(network)) == layers
    assert sum(p.numel() for p in parameters) == 8 * per_rank


def test_by_default_the_first_and_last_layers_are_left_alone(network):
    selected = select_layers(network, LoRAOptions())
    assert not {'conv_first', 'conv_last'} & selected.keys()


def test_ranks_by_pattern_override_and_0_excludes():
    options = LoRAOptions(ranks={'body.0.*': 2, '*.conv5': 0, 'body.0.rdb3.conv5': 3})
    selected = select_layers(rrdb(), options)
    assert len(selected) == 14
    assert 'body.0.rdb1.conv5' not in selected
    assert (selected['body.0.rdb1.conv1'], selected['body.0.rdb3.conv5']) == (2, 3)
    assert selected['conv_body'] == 8


def test_grouped_convolutions_and_subclasses_are_not_adapted():
    class Own(nn.Conv2d):
        pass

    network = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), Own(4, 4, 3), nn.Conv2d(4, 4, 3))
    assert select_layers(network, LoRAOptions(target=['*'])).keys() == {'2'}


@pytest.mark.filterwarnings('ignore:.*weight_norm. is deprecated')
@pytest.mark.parametrize('norm', [nn.utils.weight_norm, nn.utils.spectral_norm])
def test_layers_that_compute_their_weight_are_not_adapted(norm):
    network = nn.Sequential(norm(nn.Conv2d(4, 4, 3)), nn.Conv2d(4, 4, 3))
    assert select_layers(network, LoRAOptions(target=['*'])).keys() == {'1'}


@pytest.mark.parametrize('target', ['*', '1'])
def test_layers_that_share_their_weight_are_refused(target):
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    network[2].weight = network[1].weight
    with pytest.raises(ValueError, match=r"1\.weight and 2\.weight of Sequential .*'1': 0"):
        select_layers(network, LoRAOptions(target=[target]))
    without = LoRAOptions(target=['*'], ranks={'[12]': 0})
    assert select_layers(network, without).keys() == {'0'}


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            {'target': ['body.*', 'body.*.rdb1.conv9']},
            r"target: 'body.\*.rdb1.conv9' matches no layer of RRDBNet. Did you mean "
            r"'body.\*.rdb\*.conv\*'\? There are: .*body.\*.rdb\*.conv\* \(15\), conv_body \(1\)",
        ),
        ({'ranks': {'conv_last': 4}}, r"ranks: 'conv_last' matches no adapted layer of RRDBNet"),
        ({'target': []}, 'target: RRDBNet has no layer to adapt'),
        ({'ranks': {'*': 0}}, 'ranks: leave no layer to adapt'),
    ],
)
def test_patterns_that_match_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        add_lora(rrdb(), LoRAOptions(**options), generator_at(0))


@pytest.mark.parametrize('options', [{'rank': 0}, {'alpha': 0}, {'layers': ['*']}])
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        LoRAOptions(**options)


def test_adapters_larger_than_their_layers_are_refused():
    def adapt(rank):
        layer = nn.Sequential(nn.Linear(3, 2))  # 6 weights; an adapter has 5 for each rank
        return add_lora(layer, LoRAOptions(rank=rank, target=['*']), generator_at(0))

    assert sum(parameter.numel() for parameter in adapt(1)) == 5
    with pytest.raises(ValueError, match='would have 10 parameters, their layers have 6'):
        adapt(2)


def test_a_second_adapter_is_refused(network):
    add_lora(network, LoRAOptions(), generator_at(0))
    with pytest.raises(ValueError, match='has adapters already; give it without'):
        add_lora(network, LoRAOptions(), generator_at(0))


# States and files


def test_the_state_of_the_adapters_makes_the_round_trip(network, same_weights):
    other = copy.deepcopy(network)
    expected = lora_state(tuned(network, seed=1))
    parameters = add_lora(other, LoRAOptions(rank=2), generator_at(2))
    load_lora_state(other, expected)
    same_weights(lora_state(other), expected)
    assert [id(p) for p in parameters] == [id(p) for p in other.parameters() if p.requires_grad]


def test_the_state_of_other_ranks_is_refused(network):
    other = copy.deepcopy(network)
    add_lora(other, LoRAOptions(rank=3), generator_at(0))
    with pytest.raises(ValueError, match=r'of other layers or ranks: .* differ, such as'):
        load_lora_state(other, lora_state(tuned(network)))


def test_a_file_holds_the_adapters_by_the_name_of_the_file(network, same_weights, tmp_path):
    base = copy.deepcopy(network).state_dict()
    save_lora(tuned(network), tmp_path / 'crisp.safetensors')
    profile = read_lora(tmp_path / 'crisp.safetensors')
    assert profile.name == 'crisp'
    same_weights(merge_profiles(base, [(profile, 1.0)]), merged_state(network))


@pytest.fixture
def signed():
    """Weights as a file in half precision gives them: some are -0."""
    torch.manual_seed(0)
    weights = rrdb().state_dict()
    for value in weights.values():
        value.flatten()[::7] = -0.0
    return weights


def as_saved(path, weights):
    save_safetensors(weights, path)
    return load_file(path)


def averaged(weights):
    """What `TrainingStep.update_average` makes of an average that equals the weights."""
    own = [value.clone() for value in weights.values()]
    torch._foreach_lerp_(own, list(weights.values()), 1 - 0.999)
    return dict(zip(weights, own, strict=True))


COPIES = {
    'averaged': averaged,
    'half': lambda w: {k: v.half() for k, v in reversed(w.items())},
    'bfloat16': lambda w: {k: v.bfloat16() for k, v in w.items()},
    'double': lambda w: {k: v.double() for k, v in w.items()},
    'half and back, averaged': lambda w: averaged({k: v.half().float() for k, v in w.items()}),
    'averaged, bfloat16 and back': lambda w: {
        k: v.bfloat16().float() for k, v in averaged(w).items()
    },
    'channels last': lambda w: {
        k: v.to(memory_format=torch.channels_last) if v.dim() == 4 else v for k, v in w.items()
    },
}


@pytest.mark.parametrize('copied', COPIES)
def test_copies_of_weights_are_the_same_base(copied, signed, tmp_path):
    copy_of = COPIES[copied](signed)
    assert is_same_base(base_hashes(copy_of), base_hashes(signed))
    saved = as_saved(tmp_path / 'a.safetensors', copy_of)
    assert is_same_base(base_hashes(saved), base_hashes(signed))


@pytest.mark.parametrize('copied', COPIES)
def test_one_value_that_changes_by_a_hundredth_is_another_base(copied, signed):
    copy_of = dict(COPIES[copied](signed))
    changed = copy_of['conv_last.bias'] * torch.tensor([1, 1.01, 1])
    copy_of['conv_last.bias'] = changed.to(copy_of['conv_last.bias'])
    assert not is_same_base(base_hashes(copy_of), base_hashes(signed))


def hash_before(weights):
    """The only hash of earlier versions."""
    digest = hashlib.sha256()
    for key in sorted(weights):
        value = weights[key].float().contiguous()
        digest.update(f'{key} {tuple(value.shape)}\n'.encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize('trained', ['params', 'params_ema'])
def test_files_of_earlier_versions_stay_usable(trained, signed, tmp_path):
    network = rrdb()
    network.load_state_dict(signed)
    save_lora(tuned(network), tmp_path / 'a.safetensors')
    before = hash_before(signed if trained == 'params' else averaged(signed))
    about = {'name': 'a', 'base': before, 'alpha': 4.0}
    tensors = load_file(tmp_path / 'a.safetensors')
    save_safetensors(tensors, tmp_path / 'old.safetensors', {'iqasr_lora': json.dumps(about)})
    merged = merge_profiles(signed, [(read_lora(tmp_path / 'old.safetensors'), 1.0)])
    for key, value in merged_state(network).items():
        assert torch.allclose(merged[key], value, atol=1e-6)
    with pytest.raises(CheckpointError, match='was trained on base weights'):
        merge_profiles(rrdb().state_dict(), [(read_lora(tmp_path / 'old.safetensors'), 1.0)])


def test_adapters_of_another_base_are_refused_with_both_hashes(tmp_path):
    network, other = tuned(rrdb()), rrdb().state_dict()
    path = tmp_path / 'a.safetensors'
    save_lora(network, path)
    own, others = (base_hashes(weights)[0][:8] for weights in (base_state(network), other))
    with pytest.raises(CheckpointError, match=f"'a' was trained on .* {own}, these are {others}"):
        merge_profiles(other, [(read_lora(path), 1.0)])


@pytest.mark.parametrize(('other', 'what'), [(rrdb(1, 8), 'of another size'), (swinir(), 'missin')])
def test_adapters_of_another_network_are_refused(other, what, tmp_path):
    save_lora(tuned(rrdb()), tmp_path / 'a.safetensors')
    with pytest.raises(CheckpointError, match=rf"another network: its layer '\S+' is {what}"):
        merge_profiles(other.state_dict(), [(read_lora(tmp_path / 'a.safetensors'), 1.0)])


def test_files_that_hold_no_adapters_are_refused(tmp_path):
    torch.save({'params': rrdb().state_dict()}, tmp_path / 'net.pth')
    with pytest.raises(CheckpointError, match='holds no adapters'):
        read_lora(tmp_path / 'net.pth')
    with pytest.raises(CheckpointError, match='there is no such file'):
        read_lora(tmp_path / 'absent.safetensors')
    with pytest.raises(ValueError, match='RRDBNet has no adapters to save'):
        save_lora(rrdb(), tmp_path / 'a.safetensors')


def test_adapters_that_are_not_finite_are_refused(tmp_path):
    network = tuned(rrdb())
    lora_layers(network)['conv_body'].lora_b.data[0, 0] = float('nan')
    save_lora(network, tmp_path / 'a.safetensors')
    with pytest.raises(CheckpointError, match=r'a\.safetensors: .* in conv_body\.lora_b'):
        read_lora(tmp_path / 'a.safetensors')


def test_a_file_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(CheckpointError, match='cannot be saved'):
        save_lora(tuned(rrdb()), tmp_path / 'absent' / 'a.safetensors')


def test_profiles_add_up(tmp_path):
    weights, profiles, corrections = rrdb().state_dict(), [], []
    for seed, scale in ((1, 0.25), (2, 0.5)):
        network = rrdb()
        network.load_state_dict(weights)
        save_lora(tuned(network, seed=seed), tmp_path / f'{seed}.safetensors')
        profiles.append((read_lora(tmp_path / f'{seed}.safetensors'), scale))
        set_lora_scale(network, scale)
        corrections.append({k: v - weights[k] for k, v in merged_state(network).items()})
    merged = merge_profiles(weights, profiles)
    for key, value in weights.items():
        expected = value + corrections[0][key] + corrections[1][key]
        assert torch.allclose(merged[key], expected, atol=1e-6)
