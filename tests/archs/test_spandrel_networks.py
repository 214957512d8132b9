import importlib.util
import re
from pathlib import Path

import pytest
import spandrel as library
import torch
from basicsr.archs.rrdbnet_arch import RRDBNet

from iqasr.archs.lora import lora_layers
from iqasr.archs.sizes import SizeRequirements
from iqasr.archs.spandrel_networks import (
    differs_when_reloaded,
    network_classes,
    network_of,
    spandrel,
)
from iqasr.checking.check import load_options
from iqasr.models.export import export
from iqasr.models.networks import open_network
from iqasr.models.restorer import restore_whole
from iqasr.runtime.errors import OptionError
from iqasr.runtime.weights import load_file

WINDOWS = {'depths': [2], 'num_heads': [2], 'embed_dim': 12, 'upsampler': 'pixelshuffle'}
SMALL = {
    # convolutional
    'RealPLKSR': {'dim': 8, 'n_blocks': 1},
    'SAFMN': {'dim': 8, 'n_blocks': 1},
    'SPAN': {'num_in_ch': 3, 'num_out_ch': 3, 'feature_channels': 8},
    # transformers
    'DAT': {'embed_dim': 32, 'depth': [2], 'num_heads': [2], 'split_size': [4, 4], 'upscale': 4},
    'DRCT': WINDOWS | {'window_size': 8, 'gc': 4, 'upscale': 4},
    'HAT': WINDOWS | {'window_size': 4, 'squeeze_factor': 6, 'num_feat': 8, 'upscale': 4},
}
OTHERS = {
    'Compact': {'num_feat': 8, 'num_conv': 2},
    'ESRGAN': {'num_filters': 8, 'num_blocks': 1},
    'FDAT': {'embed_dim': 16, 'num_groups': 1, 'depth_per_group': 2, 'num_heads': 2, 'mid_dim': 8},
    'MoESR': {'dim': 8, 'n_blocks': 1, 'n_block': 1},
    'MoSR': {'n_block': 1, 'dim': 8},
    'OmniSR': {'num_feat': 16, 'block_num': 1, 'res_num': 1},
    'PLKSR': {'dim': 8, 'n_blocks': 1},
    'RCAN': {'n_resgroups': 1, 'n_resblocks': 1, 'n_feats': 16},
    'RGT': {'embed_dim': 12, 'depth': [2], 'num_heads': [2], 'upscale': 4},
    'SeemoRe': {'num_layers': 1, 'embedding_dim': 8, 'num_experts': 2},
    'Swin2SR': WINDOWS | {'window_size': 4, 'upscale': 4},
    'SwinIR': WINDOWS | {'window_size': 4, 'upscale': 4},
    'SwiftSRGAN': {'num_channels': 8, 'num_blocks': 1},
}


@pytest.fixture
def lq(photographs):
    image = torch.from_numpy(photographs[0][:32, :48]).permute(2, 0, 1)[None]
    return image.float() / 255


def reloaded(path, lq):
    """Output of the network that spandrel recognises in a file, without its clamping."""
    found = library.ModelLoader().load_from_file(path)
    with torch.no_grad():
        return found.architecture.id, found.model.eval()(lq.clone())


def said(capsys):
    return ''.join(capsys.readouterr())


@pytest.mark.parametrize('arch', SMALL)
def test_it_trains_adapts_exports_and_is_recognised_again(
    arch, lq, paired_options, train, tmp_path, capsys
):
    paired_options['datasets'].pop('val')
    paired_options['datasets']['train']['gt_size'] = 64
    paired_options['network_g'] = {'type': 'spandrel', 'arch': arch, **SMALL[arch]}
    paired_options['train'] |= {'total_iter': 20, 'ema_decay': 0.5}
    paired_options['logger'] |= {'print_freq': 20, 'save_checkpoint_freq': 20}
    assert train(paired_options) == 0
    models = tmp_path / 'experiments/tiny/models'
    (trained,) = export(models / 'net_g_latest.pth', tmp_path / 'trained.safetensors')
    before = spandrel(arch, **SMALL[arch]).eval()
    before.load_state_dict(load_file(models / 'net_g_latest.pth')['params_ema'])
    found, output = reloaded(trained, lq)
    assert found == {'RealPLKSR': 'PLKSR'}.get(arch, arch)
    with torch.no_grad():
        assert (before(lq) - output).abs().max() <= 1e-5

    # From the file alone: recognised, adapted, exported.
    paired_options |= {'name': 'tuned', 'lora': {'rank': 2}}
    del paired_options['network_g']
    paired_options['path']['pretrain_network_g'] = str(trained)
    assert train(paired_options) == 0
    models = tmp_path / 'experiments/tuned/models'
    (merged,) = export(trained, tmp_path / 'm.pth', adapters=[models / 'lora_g_20.safetensors'])
    tuned = spandrel(arch, **SMALL[arch]).eval()
    tuned.load_state_dict(load_file(models / 'net_g_latest.pth')['params_ema'])
    found, again = reloaded(merged, lq)
    with torch.no_grad():
        assert (tuned(lq) - again).abs().max() <= 1e-5
    assert (again - output).abs().max() > 1e-4
    assert f'network_g: {arch}, ' in said(capsys)


@pytest.mark.parametrize('arch', OTHERS)
def test_it_enlarges_and_is_recognised_again(arch, lq):
    network = spandrel(arch, **OTHERS[arch]).eval()
    given = lq.clone()
    with torch.no_grad():
        assert network(lq).shape == (1, 3, 128, 192)
    assert torch.equal(lq, given)
    assert differs_when_reloaded(network, lq) is None


def test_every_architecture_has_a_name_of_its_own():
    assert len(network_classes()) >= len(library.MAIN_REGISTRY)
    assert {'PLKSR', 'RealPLKSR', 'UpCunet4x', 'KBNet_s'} <= network_classes().keys()


def test_architectures_of_other_licences_are_there_when_installed():
    installed = importlib.util.find_spec('spandrel_extra_arches') is not None
    assert ('SRFormer' in network_classes()) == installed


def test_adapters_reach_a_network_that_merges_its_own_weights(lq):
    from iqasr.archs.lora import add_lora, merged_state
    from iqasr.options.lora import LoRAOptions
    from iqasr.runtime.randomness import generator_at

    network = spandrel('SPAN', **SMALL['SPAN']).eval()
    add_lora(network, LoRAOptions(rank=2), generator_at(0))
    assert not [name for name in lora_layers(network) if 'eval_conv' in name]
    with torch.no_grad():
        base = network(lq)
        for layer in lora_layers(network).values():
            torch.nn.init.normal_(layer.lora_b, std=0.05, generator=generator_at(1))
        output = network(lq)
        plain = spandrel('SPAN', **SMALL['SPAN']).eval()
        plain.load_state_dict(merged_state(network))
        assert (output - base).abs().max() > 1e-3
        assert (output - plain(lq)).abs().max() <= 1e-5
        assert (output - network.train()(lq)).abs().max() <= 1e-3


REFUSALS = {
    'arch': ('HATT', "network_g.arch: spandrel has no architecture 'HATT'. Did you mean 'HAT'?"),
    'depth': ([2], "network_g.depth: unknown option. Did you mean 'depths'?"),
    'depths': (None, 'cannot be built from its options'),
    'norm_layer': ('LayerNorm', 'network_g.norm_layer: unknown option'),
    'embed_dim': ('wide', "network_g.embed_dim: should be a number, not 'wide'"),
}


@pytest.mark.parametrize('option', REFUSALS)
def test_a_bad_option_is_refused(option, paired_options, train, capsys):
    section = {'type': 'spandrel', 'arch': 'HAT', **SMALL['HAT']}
    paired_options['network_g'] = section | {option: REFUSALS[option][0]}
    assert train(paired_options) == 2
    assert REFUSALS[option][1] in said(capsys)


@pytest.mark.parametrize(
    ('section', 'found'),
    [
        ({'type': 'SPAN'}, {'num_in_ch': 3, 'num_out_ch': 3, 'upscale': 2}),
        ({'type': 'spandrel', 'arch': 'RealPLKSR'}, {'upscaling_factor': 2}),
        ({'type': 'spandrel', 'arch': 'OmniSR'}, {'up_scale': 2}),
        ({'type': 'SPAN', 'num_in_ch': 1}, {'num_in_ch': 1, 'num_out_ch': 3}),
        ({'type': 'ESRGAN', 'shuffle_factor': 2}, {}),
    ],
)
def test_scale_and_channels_need_not_be_said(section, found, paired_options, write_options):
    paired_options |= {'network_g': section, 'scale': 2}
    network = load_options(write_options(paired_options)).network_g
    assert network['type'] == 'spandrel'
    assert network.items() >= found.items()
    assert 'scale' not in network


@pytest.mark.parametrize(
    ('name', 'arch'), [('realplksr', 'RealPLKSR'), ('span', 'SPAN'), ('RealPLKSRR', 'RealPLKSR')]
)
def test_name_in_another_case_suggests_the_architecture(name, arch, paired_options, write_options):
    paired_options['network_g'] = {'type': name}
    text = f"no network is called '{name}'. Did you mean {{type: spandrel, arch: {arch}}}?"
    with pytest.raises(OptionError, match=re.escape(text)):
        load_options(write_options(paired_options))


def test_without_network_and_weights_there_is_nothing_to_train(paired_options, write_options):
    paired_options['network_g'] = {'type': 'spandrel'}
    with pytest.raises(OptionError, match=r'network_g: is required and missing\. Or give path'):
        load_options(write_options(paired_options))


def save(weights, path: Path) -> str:
    torch.save(weights, path)
    return str(path)


UNUSABLE = {
    'another scale': (
        {'params': RRDBNet(3, 3, scale=2, num_feat=8, num_block=1).state_dict()},
        'network_g: RRDBNet enlarges 2 times, but scale is 4.',
    ),
    'no architecture': (
        {'params': torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)).state_dict()},
        'no architecture that spandrel knows. It holds 4 weights: * (4). Name the network',
    ),
    'no weights': ({'params': {'step': 3}}, "holds no weights; found ['step']"),
}


@pytest.mark.parametrize('kind', UNUSABLE)
def test_weights_that_cannot_be_used_are_refused_with_what_they_are(
    kind, paired_options, train, tmp_path, capsys
):
    content, message = UNUSABLE[kind]
    del paired_options['network_g']
    paired_options['path']['pretrain_network_g'] = save(content, tmp_path / 'net.pth')
    assert train(paired_options) == 2
    assert message in said(capsys)


def test_weights_of_another_network_are_said_to_be_of_which(
    paired_options, train, tmp_path, capsys
):
    weights = spandrel('SPAN', **SMALL['SPAN']).state_dict()
    paired_options['path']['pretrain_network_g'] = save(weights, tmp_path / 'net.pth')
    assert train(paired_options) == 2
    text = said(capsys)
    assert 'of another network than MSRResNet: 0 of 14 fit; 14 missing' in text
    assert 'The file is recognised as SPAN, 4 x; leave network_g out' in text


def test_a_crop_that_the_network_cannot_take_is_refused(paired_options, train, capsys):
    paired_options['network_g'] = {'type': 'spandrel', 'arch': 'DRCT', **SMALL['DRCT']}
    assert train(paired_options) == 2
    assert 'DRCT takes inputs of multiples of 16 px; crops of 32 px' in said(capsys)


def test_sizes_are_padded_to_what_is_required():
    assert SizeRequirements(16, 8).padding(20, 8) == (4, 8)
    assert SizeRequirements(1, 4, square=True).padding(5, 13) == (11, 3)
    assert str(SizeRequirements(square=True)) == 'square'


@pytest.mark.parametrize(('scale', 'multiple'), [(1, 4), (2, 2), (4, 1)])
def test_networks_that_fold_their_input_take_any_photograph(scale, multiple, tmp_path):
    network = RRDBNet(3, 3, scale=scale, num_feat=8, num_block=1).eval()
    torch.save({'params_ema': network.state_dict()}, tmp_path / 'net.pth')
    opened, found = open_network(tmp_path / 'net.pth')
    assert (opened.size_requirements.multiple_of, found) == (multiple, scale)
    lq = torch.rand(1, 3, 13, 22)
    with torch.no_grad():
        output = restore_whole(opened, lq, scale)
        assert output.shape == (1, 3, 13 * scale, 22 * scale)
        whole = torch.nn.functional.pad(lq, (0, -22 % multiple, 0, -13 % multiple), 'reflect')
        assert torch.equal(output, network(whole)[..., : 13 * scale, : 22 * scale])


@pytest.mark.parametrize('form', ['params', 'state_dict', 'model', None])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_a_recognised_network_keeps_the_names_of_its_file(form, prefix, tmp_path, same_weights):
    from iqasr.runtime.weights import parameters_in

    weights = RRDBNet(3, 3, num_feat=8, num_block=1).state_dict()
    content = {prefix + name: value for name, value in weights.items()}
    path = tmp_path / 'net.pth'
    save({form: content, 'epoch': 3} if form else content, path)
    network, section = network_of(parameters_in(load_file(path), 'params', path), path)
    same_weights(network.state_dict(), weights)
    assert section['type'] == 'RRDBNet'
