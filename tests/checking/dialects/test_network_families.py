"""Tools that are BasicSR with a network of their own: HAT, DAT, RGT, ATD, DRCT, SAFMN."""

import copy
from pathlib import Path

import pytest

from iqasr.archs.sizes import SizeRequirements, sizes_of
from iqasr.archs.spandrel_networks import find_architecture, spandrel
from iqasr.checking.check import load_options
from iqasr.checking.dialects.families import NETWORK_DEFAULTS, NETWORK_IDLE
from iqasr.checking.dialects.rules import translate
from iqasr.runtime.errors import OptionError
from iqasr.training.commands import train_command
from iqasr.training.survey import check_file

from .conftest import paired

HAT = {
    **{'type': 'HAT', 'upscale': 4, 'in_chans': 3, 'img_size': 64, 'window_size': 16},
    **{'compress_ratio': 3, 'squeeze_factor': 6, 'conv_scale': 0.01, 'overlap_ratio': 0.5},
    **{'img_range': 1.0, 'depths': [1], 'embed_dim': 36, 'num_heads': [2], 'mlp_ratio': 2},
    **{'upsampler': 'pixelshuffle', 'resi_connection': '1conv'},
}
DAT = {
    **{'type': 'DAT', 'upscale': 4, 'in_chans': 3, 'img_size': 64, 'img_range': 1.0, 'depth': [2]},
    **{'embed_dim': 36, 'num_heads': [2], 'expansion_factor': 2, 'resi_connection': '1conv'},
    **{'split_size': [8, 16], 'upsampler': 'pixelshuffledirect'},
}
ATD = {
    **{'type': 'ATD', 'upscale': 4, 'in_chans': 3, 'img_size': 64, 'embed_dim': 12, 'depths': [1]},
    **{'num_heads': [2], 'window_size': 8, 'category_size': 64, 'num_tokens': 8, 'reducted_dim': 4},
    **{'convffn_kernel_size': 5, 'img_range': 1.0, 'mlp_ratio': 1, 'use_checkpoint': False},
    **{'upsampler': 'pixelshuffledirect', 'resi_connection': '1conv'},
}
SAFMN = {'type': 'SAFMN', 'dim': 8, 'n_blocks': 1, 'ffn_scale': 2.0, 'upscaling_factor': 4}
DRCT = {key: value for key, value in HAT.items() if key != 'mlp_ratio'} | {'type': 'DRCT', 'gc': 8}
NETWORKS = {'HATModel': HAT, 'DATModel': DAT, 'ATDModel': ATD, 'DRCTModel': DRCT, 'SRModel': SAFMN}
IDLE = ('use_checkpoint', *NETWORK_IDLE['DRCT'])


@pytest.fixture
def file_of(pairs):
    """Write a file of a tool, for the sample pairs."""

    def make(model: str, network: dict | None = None) -> dict:
        options = paired(model, pairs)
        options['network_g'] = copy.deepcopy(network or NETWORKS[model])
        options['datasets']['train'] |= {'gt_size': 64, 'task': 'SR'}
        return options

    return make


@pytest.mark.parametrize('model', NETWORKS)
def test_files_of_each_tool_run_as_they_are(model, file_of, write):
    options = file_of(model)
    network = dict(options['network_g'])
    arch = network.pop('type')
    idle = [key for key in IDLE if key in network and arch in ('ATD', 'DRCT')]
    network = {key: value for key, value in network.items() if key not in idle}
    expected = NETWORK_DEFAULTS.get(arch, {}) | network | {'type': 'spandrel', 'arch': arch}
    translation = translate(options)
    assert translation.options['network_g'] == expected
    warned = [warning.partition(':')[0] for warning in translation.warnings]
    assert sorted(warned) == sorted([*(f'network_g.{key}' for key in idle), 'datasets.train.task'])
    assert check_file(Path(write(options))).startswith('runs, ')


def test_a_network_that_is_not_registered_is_one_of_spandrel_in_every_file(paired_options):
    options = paired_options | {'network_g': dict(SAFMN)}
    translation = translate(options)
    assert translation.options['network_g'] == SAFMN | {'type': 'spandrel', 'arch': 'SAFMN'}
    assert translation.notes == ['network_g.type: SAFMN -> spandrel']
    assert options['network_g']['type'] == 'SAFMN'
    assert translate(paired_options | {'network_g': {'type': 'SwinIR'}}).notes == []
    names = ('DITN', 'DITN_Real', 'SAFMN_BCIE', 'HATT')
    assert [find_architecture(name) for name in names] == ['DITN', 'DITN', 'SAFMNBCIE', None]


def test_options_of_the_network_are_checked(file_of, write):
    options = file_of('DATModel')
    options['network_g']['split_sise'] = options['network_g'].pop('split_size')
    with pytest.raises(OptionError, match=r"network_g.split_sise: .* Did you mean 'split_size'"):
        load_options(write(options))


@pytest.mark.parametrize(
    ('tiling', 'expected'),
    [
        ({'tile': {'tile_size': 256, 'tile_pad': 16}}, (256, 16)),
        ({'val': {'use_chop': True}}, (200, 16)),
        ({'val': {'use_chop': False}}, (None, 32)),
    ],
)
def test_tiles_of_each_tool(tiling, expected, file_of, write):
    options = file_of('HATModel')
    options['val'] |= tiling.pop('val', {})
    val = load_options(write(options | tiling)).val
    assert (val.tile_px, val.tile_overlap_px) == expected


def test_original_photographs_that_are_reduced_bicubically(file_of, candidates, write):
    options = file_of('HATModel')
    options['datasets']['train'] = {
        **{'name': 'ImageNet', 'type': 'ImageNetPairedDataset', 'dataroot_gt': str(candidates)},
        **{'meta_info_file': 'list.txt', 'io_backend': {'type': 'disk'}, 'gt_size': 64},
        **{'use_hflip': True, 'use_rot': True, 'batch_size_per_gpu': 2, 'num_worker_per_gpu': 0},
    }
    assert translate(options).options['datasets']['train'] == {
        **{'name': 'ImageNet', 'type': 'MultiGTDataset', 'dataroot_gt': str(candidates)},
        **{'meta_info': 'list.txt', 'gt_size': 64, 'use_hflip': True, 'use_rot': True},
        **{'batch_size_per_gpu': 2, 'num_worker_per_gpu': 0, 'originals': True},
        'sampling': {'type': 'UniformSampler', 'candidates': 'original'},
        'degradation': {'type': 'BicubicDegradation'},
    }
    options['datasets']['train'].pop('meta_info_file')
    load_options(write(options))


@pytest.mark.parametrize(
    ('model', 'switches', 'sharpened'),
    [
        ('RealHATMSEModel', {'gt_usm': True}, ['original']),
        ('RealDRCTGANModel', {'l1_gt_usm': True, 'gan_gt_usm': False}, ['degraded', 'pixel']),
        ('RealGANModel', {'percep_gt_usm': True}, ['degraded']),
    ],
)
def test_models_that_degrade(model, switches, sharpened, realesrnet):
    options = {k: v for k, v in realesrnet.items() if k != 'gt_usm'}
    assert translate(options | {'model_type': model} | switches).options['sharpen'] == sharpened


def test_a_model_named_after_its_network_is_taken_for_one(file_of, write):
    options = file_of('SeemoReModel', {'type': 'SeemoRe', 'in_chans': 3, 'scale': 4})
    (warning,) = (w for w in translate(options).warnings if w.startswith('model_type'))
    assert 'SeemoReModel is taken for a model that trains SeemoRe' in warning
    with pytest.raises(OptionError, match="no model is called 'TwoModel'"):
        load_options(write(options | {'model_type': 'TwoModel'}))


@pytest.mark.parametrize(('count', 'said'), [(4, True), (1, False), ('auto', False), (0, False)])
def test_what_a_step_sees_is_said_where_basicsr_would_multiply_it(count, said, file_of):
    warnings = translate(file_of('HATModel') | {'num_gpu': count}).warnings
    expected = 'num_gpu: 4 GPUs: with 4 processes (torchrun), a step sees 8 samples here as there. '
    assert any(text.startswith(expected) for text in warnings) is said


def test_safmn_takes_odd_sizes_as_they_are_and_trains_on_spectra(file_of, write, tmp_path):
    own = {key: value for key, value in SAFMN.items() if key != 'type'}
    assert sizes_of(spandrel('SAFMN', **own)) == SizeRequirements(minimum=8)
    options = file_of('SRModel')
    options['train']['fft_opt'] = {'type': 'FFTLoss', 'loss_weight': 0.05, 'reduction': 'mean'}
    overrides = ['train:total_iter=2', f'path:root={tmp_path}', 'num_gpu=0']
    assert train_command(['-opt', write(options), '--force_yml', *overrides]) == 0
    (log,) = (tmp_path / 'experiments/peer').glob('*.log')
    assert 'l_fft' in log.read_text()
