"""Translated option files against expectations written by hand."""

import copy
import logging
from inspect import signature
from pathlib import Path

import pytest

from iqasr.checking.check import check, load_options
from iqasr.checking.dialects.families import FAMILIES as MODELS
from iqasr.checking.dialects.families import REFUSED, SIGNS
from iqasr.checking.dialects.rules import translate
from iqasr.checking.dialects.translation import Translation
from iqasr.data import MultiGTDataset
from iqasr.options.schema import options_at
from iqasr.options.sections import Options
from iqasr.registry import DATASET_REGISTRY, LOSS_REGISTRY
from iqasr.runtime.errors import OptionError

from .conftest import FAMILIES

STAGE_1 = {
    'resize_prob': {'up': 0.2, 'down': 0.7, 'keep': 0.1},
    'resize_range': [0.5, 1.5],
    'gaussian_noise_prob': 0.4,
    'noise_range': [1, 30],
    'poisson_scale_range': [0.05, 3],
    'gray_noise_prob': 0.4,
    'jpeg_range': [30, 95],
    'kernel_prob': {'iso': 0.7, 'aniso': 0.3},
    'sinc_prob': 0.1,
    'blur_sigma': [0.2, 3],
    'betag_range': [0.5, 4],
    'betap_range': [1, 2],
}


def test_degradation_of_realesrgan(realesrgan):
    train = translate(realesrgan).options['datasets']['train']
    second = STAGE_1 | {
        'blur_prob': 0.8,
        'resize_prob': {'up': 0.3, 'down': 0.4, 'keep': 0.3},
        'resize_range': [0.6, 1.2],
        'gaussian_noise_prob': 0.5,
        'noise_range': [1, 25],
        'poisson_scale_range': [0.05, 2.5],
        'gray_noise_prob': 0.3,
        'jpeg_range': [35, 95],
        'blur_sigma': [0.2, 1.5],
    }
    sizes = {'blur_kernel_size': [7, 21]}
    assert train['degradation'] == {
        'type': 'SecondOrderDegradation',
        'first': STAGE_1 | sizes,
        'second': second | sizes,
        'final_sinc': {'prob': 0.6, 'kernel_size': [7, 21]},
    }


def test_degradation_of_hggt(hggt):
    train = translate(hggt).options['datasets']['train']
    stage = STAGE_1 | {'blur_kernel_size': [3, 9]}
    assert train['degradation'] == {'type': 'FirstOrderDegradation', 'stage': stage}


def test_enhancers_of_hggt(enhancement):
    options = translate(enhancement).options
    kernels = {'blur_sigma': [0.1, 0.5], 'blur_kernel_size': [3, 7]}
    shape = {key: STAGE_1[key] for key in STAGE_1 if not key.startswith('beta')}
    train = options['datasets']['train']
    assert train['degradation']['stage'] == shape | kernels
    assert train['sampling']['candidates'] == 'original'
    assert train['originals'] is True
    network = enhancement['network_g'] | {'type': 'RCAN', 'upscale': 1}
    assert options['network_g'] == network
    assert options['network_d']['type'] == 'UNetDiscriminatorSN'


def test_negatives_of_hggt_are_read_for_the_term_that_compares_with_them(hggt, write):
    assert load_options(write(hggt)).train_set['negatives'] is True
    del hggt['train']['neg_opt']
    assert 'negatives' not in load_options(write(hggt)).train_set


def test_data_set_of_hggt(hggt):
    roots = hggt['datasets']['train']
    options = translate(hggt).options
    train = options['datasets']['train']
    del train['degradation']
    assert train == {
        'name': 'PosNegGT',
        'type': 'MultiGTDataset',
        'dataroot_gt': roots['dataroot_all_gt'],
        'dataroot_labels': roots['dataroot_all_json'],
        'gt_size': 32,
        'use_hflip': True,
        'use_rot': False,
        'num_worker_per_gpu': 0,
        'batch_size_per_gpu': 2,
        'sampling': {'type': 'UniformSampler', 'candidates': 'positives-else-original'},
        'queue_size': 4,
    }
    assert options['train']['neg_opt'] == {'type': 'NegativeLoss', 'loss_weight': 3e2}


@pytest.mark.parametrize(
    ('kind', 'candidates', 'originals'),
    [
        ('PosNegGTOriDataset', 'original', None),
        ('PosNegGTPosDataset', 'positives', None),
        ('OneStageDegradation_DF2K_Dataset', 'original', True),
    ],
)
def test_candidates_of_hggts_data_sets(kind, candidates, originals, hggt):
    hggt['datasets']['train']['type'] = kind
    train = translate(hggt).options['datasets']['train']
    assert train['sampling']['candidates'] == candidates
    assert train.get('originals') == originals


def test_terms_of_ldl_and_esrgan(ldl):
    train = translate(ldl).options['train']
    assert train['ldl_opt'] == {'type': 'LDLLoss', 'loss_weight': 0.5}
    assert train['gan_opt'] == {
        'type': 'RelativisticGANLoss',
        'gan_type': 'vanilla',
        'loss_weight': 0.1,
    }
    assert 'artifacts_opt' not in train


@pytest.mark.parametrize(
    ('model', 'switches', 'sharpened'),
    [
        ('RealESRGANModel', {'l1_gt_usm': True, 'percep_gt_usm': True}, ['degraded', 'pixel']),
        ('RealESRGANModel', {'l1_gt_usm': True, 'gan_gt_usm': True}, ['degraded', 'pixel', 'gan']),
        ('RealESRGANModel', {'l1_gt_usm': False, 'gt_usm': True}, ['degraded']),
        ('RealESRNetModel', {'gt_usm': True, 'l1_gt_usm': True}, ['original']),
        ('RealESRNetModel', {'gt_usm': False}, []),
        ('Ours_Model', {'gt_usm': True}, []),
        ('LDL_Model', {'l1_gt_usm': True}, ['degraded', 'pixel']),
        ('LDL_PosGT_Model', {}, []),
    ],
)
def test_sharpening_follows_the_switches_that_the_model_reads(
    model, switches, sharpened, realesrgan
):
    for key in ('l1_gt_usm', 'percep_gt_usm', 'gan_gt_usm'):
        del realesrgan[key]
    options = translate(realesrgan | {'model_type': model} | switches).options
    assert options.get('sharpen', []) == sharpened


@pytest.mark.parametrize(
    ('path', 'value', 'found', 'expected'),
    [
        ('path:pretrain_model_g', 'a.pth', 'path:pretrain_network_g', 'a.pth'),
        ('path:strict_load', False, 'path:strict_load_g', False),
        ('datasets:train:use_flip', False, 'datasets:train:use_hflip', False),
        ('train:pixel_opt_o', {'type': 'L1Loss'}, 'train:pixel_opt', {'type': 'L1Loss'}),
        ('network_d:type', 'VGGStyleDiscriminator128', 'network_d:input_size', 128),
        ('network_d:type', 'VGGStyleDiscriminator128', 'network_d:type', 'VGGStyleDiscriminator'),
    ],
)
def test_earlier_names(path, value, found, expected, basicsr):
    basicsr['path'], before = {}, basicsr['train'].pop('pixel_opt')
    if path != 'train:pixel_opt_o':
        basicsr['train']['pixel_opt'] = before
    place(basicsr, path)[path.split(':')[-1]] = value
    assert place(translate(basicsr).options, found)[found.split(':')[-1]] == expected


def place(options, path):
    for key in path.split(':')[:-1]:
        options = options[key]
    return options


@pytest.mark.parametrize(
    ('change', 'warning'),
    [
        ({'queue_size': 5}, 'queue_size: 5 is no multiple of the batch, 2: 4 instead.'),
        ({'gt_size': 48}, 'datasets.train.gt_size: 32 is left out: gt_size of the top level, 48'),
        ({'high_order_degradation': False}, 'RealESRGANDataset has no LQ; its images are degraded'),
        ({'pre_pad': 10}, 'pre_pad: images are extended as far as'),
        ({'favourite_colour': 'red'}, 'favourite_colour: unknown option, left out.'),
        ({'use_static_graph': True}, 'use_static_graph: unknown option, left out.'),
        ({'gt_usm': True}, 'gt_usm: left out: its model does not read it'),
    ],
)
def test_contradictions_and_unknown_options_are_warnings(change, warning, realesrgan):
    assert any(warning in text for text in translate(realesrgan | change).warnings)


def test_options_of_a_discriminator_without_its_term_are_warnings(basicsr):
    del basicsr['train']['gan_opt']
    basicsr['train'] |= {'net_d_iters': 2, 'net_d_init_iters': 1}
    translated = translate(basicsr)
    for path in ('network_d', 'train.optim_d', 'train.net_d_iters', 'train.net_d_init_iters'):
        assert f'{path}: left out, since there is no train.gan_opt.' in translated.warnings
    train = check(translated.options, 'train').train
    assert (train.net_d_iters, train.net_d_init_iters) == (1, 0)


def test_options_of_a_degradation_that_never_happens_are_warnings(realesrgan_pairs):
    realesrgan_pairs['datasets']['train']['sinc_prob2'] = 0.1
    warnings = translate(realesrgan_pairs | {'jpeg_range': [30, 95], 'queue_size': 4}).warnings
    assert 'jpeg_range: left out, since nothing here is degraded by it.' in warnings
    assert 'datasets.train.sinc_prob2: left out, since nothing here is degraded by it.' in warnings
    assert 'queue_size: left out, since nothing is degraded here.' in warnings


MISSPELT = {
    'train:ema_deacy': 'ema_decay',
    'train:pixel_opt:loss_weigth': 'loss_weight',
    'train:optim_g:weight_deca': 'weight_decay',
    'train:scheduler:gama': 'gamma',
    'datasets:train:gt_sise': 'gt_size',
    'val:metrics:psnr:crop_boarder': 'crop_border',
    'logger:print_frq': 'print_freq',
    'path:pretrain_network': 'pretrain_network_g',
}


@pytest.mark.parametrize('path', MISSPELT)
@pytest.mark.parametrize('model', ['ESRGANModel', 'RestorationModel'])
def test_misspelling_is_an_error_everywhere(model, path, basicsr, write):
    del basicsr['datasets']['train']['use_flip']
    place(basicsr, path)[path.split(':')[-1]] = 1
    where = path.replace(':', '.')
    with pytest.raises(OptionError) as caught:
        load_options(write(basicsr | {'model_type': model}))
    assert f"{where}: unknown option. Did you mean '{MISSPELT[path]}'" in str(caught.value)


@pytest.mark.parametrize(
    ('path', 'meant'),
    [
        ('gray_noise_probb', 'gray_noise_prob'),
        ('jpeg_rang2', 'jpeg_range2'),
        ('l1_gt_umsm', 'l1_gt_usm'),
        ('queue_siz', 'queue_size'),
        ('datasets:train:blur_sigm2', 'blur_sigma2'),
        ('datasets:train:use_flp', 'use_flip'),
        ('path:pretrain_model', 'pretrain_model_'),
        ('network_dd', 'network_d'),
    ],
)
def test_misspelt_option_of_the_other_tool_is_an_error(path, meant, realesrgan, write):
    place(realesrgan, path)[path.split(':')[-1]] = 1
    with pytest.raises(OptionError) as caught:
        load_options(write(realesrgan))
    assert f"{path.replace(':', '.')}: unknown option. Did you mean '{meant}" in str(caught.value)


@pytest.mark.parametrize(
    ('path', 'value'),
    [
        ('datasets:train:crop_size', 32),  # resembles cropping options
        ('train:net_d_reg_every', 16),  # resembles net_d_iters
        ('path:ignore_resume_networks', 'network_d'),  # resembles pretrain_network_d
        ('use_sharp', True),
    ],
)
def test_an_option_that_the_tool_has_is_left_out(path, value, basicsr, write):
    place(basicsr, path)[path.split(':')[-1]] = value
    translation = translate(basicsr)
    assert translation.problems == []
    assert f'{path.replace(":", ".")}: unknown option, left out.' in translation.warnings
    load_options(write(basicsr))


def test_misspelt_metric_is_an_error(basicsr, write):
    basicsr['val']['metrics']['psnr']['type'] = 'calculate_psnrr'
    with pytest.raises(OptionError, match=r"no metric is called 'calculate_psnrr'. Did you mean"):
        load_options(write(basicsr))


@pytest.mark.parametrize('model', ['ESRGANModel', 'RestorationModel'])
def test_no_value_is_a_value_for_a_network(model, basicsr, write):
    """A network without one of its options would be another."""
    del basicsr['datasets']['train']['use_flip']
    section = {'type': 'spandrel', 'arch': 'Compact', 'num_feat': 4, 'num_conv': None}
    basicsr |= {'model_type': model, 'network_g': section}
    assert translate(basicsr).options['network_g'] == section


def test_a_pool_beside_a_degradation_is_kept(registered, basicsr):
    class LabCrops:
        def __init__(self, dataroot_gt: str, degradation: dict, queue_size: int = 0):
            pass

    registered(DATASET_REGISTRY, LabCrops)
    section = {'type': 'LabCrops', 'dataroot_gt': 'a', 'degradation': {'type': 'B'}}
    for top in ({'queue_size': 8}, {'queue_size': 8, 'degradation': section['degradation']}):
        own = {k: v for k, v in section.items() if k not in top}
        options = basicsr | {'datasets': {'train': own}} | top
        translation = translate(options)
        assert translation.options['datasets']['train'] == section | {'queue_size': 8}
        assert translation.warnings == []


@pytest.mark.parametrize(('asked', 'tiles'), [(True, (480, 24)), (False, (None, 32))])
def test_tiles_of_hggt(asked, tiles, hggt, write):
    val = load_options(write(hggt | {'tile_process': asked})).val
    assert (val.tile_px, val.tile_overlap_px) == tiles


def test_a_metric_that_is_not_here_is_left_out(basicsr):
    basicsr['val']['metrics']['lpips'] = {'type': 'calculate_lpips', 'crop_border': 4}
    translation = translate(basicsr)
    assert list(translation.options['val']['metrics']) == ['psnr']
    assert any('calculate_quality' in warning for warning in translation.warnings)


def test_file_that_never_validates_needs_no_frequency(basicsr):
    del basicsr['val']
    options = translate(basicsr).options
    assert list(options['datasets']) == ['train']


@pytest.mark.parametrize('name', REFUSED)
def test_other_tasks_are_refused_with_the_tool_that_does_them(name, basicsr, write):
    for path in ('model_type', 'network_g:type', 'datasets:train:type'):
        options = basicsr | {'network_g': {}, 'datasets': {'train': {}}}
        place(options, path)[path.split(':')[-1]] = name
        with pytest.raises(
            OptionError, match=rf'peer.yml: {path.replace(":", ".")}: {name} .*with'
        ):
            load_options(write(options))


@pytest.mark.parametrize('model', MODELS)
def test_every_model_becomes_ours(model, basicsr, write):
    assert load_options(write(basicsr | {'model_type': model})).model_type == 'RestorationModel'


@pytest.mark.parametrize('family', FAMILIES, indirect=True)
def test_what_is_printed_says_what_became_and_is_an_option_file_of_ours(family, write, tmp_path):
    options = load_options(write(family))
    text = options.as_yaml()
    assert text.startswith(f'# model_type: {family["model_type"]} -> RestorationModel')
    copy = tmp_path / 'copy.yml'
    copy.write_text(text)
    again = load_options(copy)
    assert again.model_dump() == options.model_dump()
    assert not again.as_yaml().startswith('#')


def test_warnings_are_logged_and_printed(realesrgan, write, caplog):
    logging.getLogger('iqasr').propagate = True
    options = load_options(write(realesrgan | {'pre_pad': 10}))
    assert 'pre_pad: images are extended' in caplog.text
    assert '# warning: pre_pad: images are extended' in options.as_yaml()


def test_files_of_ours_are_left_as_they_are(paired_options):
    assert translate(paired_options) == Translation(paired_options)


def test_samples_of_earlier_files_of_ours_are_described_in_the_training_set(candidate_options):
    candidate_options['train']['neg_opt'] = {'type': 'NegativeLoss'}
    candidate_options['quality'] = {'table': 'scores.csv'}
    train = candidate_options['datasets']['train']
    for key in ('sampling', 'degradation', 'queue_size'):
        candidate_options[key] = train.pop(key)
    before = copy.deepcopy(candidate_options)
    translation = translate(candidate_options)
    assert candidate_options == before
    moved = ('sampling', 'quality', 'degradation', 'queue_size')
    train = before['datasets']['train'] | {key: before.pop(key) for key in moved}
    before['datasets'] = {'train': train}
    assert translation.options == before
    assert translation.notes == [f'{key} -> datasets.train.{key}' for key in moved]
    assert translation.warnings == []
    assert translate(translation.options) == Translation(translation.options)


@pytest.mark.parametrize('value', [{'type': 'ArgmaxSampler'}, None])
def test_a_sample_that_is_described_in_two_places_is_refused(value, candidate_options):
    options = translate(candidate_options).options
    with pytest.raises(
        OptionError, match=r'^sampling and datasets\.train\.sampling are both given'
    ):
        translate(options | {'sampling': value})


@pytest.mark.parametrize('phase', ['train', 'test'])
def test_the_printed_default_of_an_earlier_version_is_dropped(phase, paired_options):
    paired_options['datasets'] = {phase: paired_options['datasets']['train']}
    assert translate(paired_options | {'queue_size': 0}) == Translation(paired_options)


def test_without_a_training_set_nothing_moves(candidate_options):
    candidate_options['datasets'] = {'test': candidate_options['datasets']['train']}
    assert translate(candidate_options) == Translation(candidate_options)


@pytest.mark.parametrize('earlier', [True, False])
def test_a_set_of_candidates_in_another_tools_file_keeps_its_samples(earlier, candidate_options):
    ours = translate(candidate_options).options
    options = copy.deepcopy(candidate_options if earlier else ours)
    options['train']['neg_opt'] = {'type': 'L1Loss'}
    train = translate(options | {'model_type': 'SRGANModel'}).options['datasets']['train']
    assert train == ours['datasets']['train']


@pytest.mark.parametrize('model', ['RestorationModel', 'ESRGANModel'])
@pytest.mark.parametrize(
    'network',
    [
        {'type': 'MSRResNet', 'num_fea': 4, 'upscale': 4},
        {'type': 'spandrel', 'arch': 'DAT', 'upscale': 4, 'embed_dim': 36},
    ],
    ids=lambda network: network['type'],
)
@pytest.mark.parametrize('path', ['network_g', 'network_d'])
def test_no_option_of_a_network_is_left_out(path, network, model, basicsr):
    translation = translate(basicsr | {'model_type': model, path: network})
    assert translation.options[path] == network
    assert not any(path in warning for warning in translation.warnings)


@pytest.mark.parametrize('path', ['network_g:num_fea', 'network_d:num_fea'])
def test_misspelt_option_of_a_network_is_an_error_everywhere(path, basicsr, write):
    place(basicsr, path)['num_fea'] = 1
    where = path.replace(':', '.')
    with pytest.raises(OptionError, match=f"{where}: unknown option. Did you mean 'num_feat'"):
        load_options(write(basicsr))


@pytest.fixture
def registered():
    """Register classes for the length of a test."""
    entries = []

    def register(registry, cls):
        registry.register(cls)
        entries.append((registry, cls.__name__))

    yield register
    for registry, name in entries:
        del registry._obj_map[name]


def test_options_of_a_users_class_that_takes_one_dict_stay(registered, basicsr):
    class LabDataset:
        def __init__(self, opt):
            self.alpha = opt['alpha']

    class LabLoss:
        def __init__(self, opt):
            self.alpha = opt['alpha']

    registered(DATASET_REGISTRY, LabDataset)
    registered(LOSS_REGISTRY, LabLoss)
    section = {'type': 'LabDataset', 'alpha': None, 'use_flip': True, 'sinc_prob': {'a': None}}
    basicsr['datasets']['train'] = section
    basicsr['train']['lab_opt'] = {'type': 'LabLoss', 'alpha': 1}
    translation = translate(basicsr)
    assert translation.options['datasets']['train'] == section
    assert translation.options['train']['lab_opt'] == {'type': 'LabLoss', 'alpha': 1}
    assert translation.warnings == []


def test_options_of_a_users_class_with_a_signature_are_known(registered, basicsr):
    class LabSet:
        def __init__(self, dataroot_gt: str, alpha: float = 1.0):
            self.alpha = alpha

    registered(DATASET_REGISTRY, LabSet)
    options = {'dataroot_gt': 'a', 'alpha': 2, 'batch_size_per_gpu': 3}
    basicsr['datasets']['train'] = {'type': 'LabSet', 'alhpa': 2, **options}
    translation = translate(basicsr)
    assert translation.options['datasets']['train'] == {'type': 'LabSet', **options}
    reason = "datasets.train.alhpa: unknown option. Did you mean 'alpha'?"
    assert (translation.warnings, translation.problems) == ([], [reason])


def test_of_two_names_for_an_option_the_present_one_counts(basicsr):
    basicsr['path'] = {'pretrain_model_g': 'a.pth', 'pretrain_network_g': 'b.pth'}
    translation = translate(basicsr)
    assert translation.options['path'] == {'pretrain_network_g': 'b.pth'}
    reason = 'left out, since path.pretrain_network_g is given, too.'
    assert f'path.pretrain_model_g: {reason}' in translation.warnings


REDUX = """
name: 4x_SPAN
scale: 4
use_amp: true
amp_bf16: false
use_channels_last: true
datasets:
  train: {name: T, type: pairedimagedataset, dataroot_gt: [a], dataroot_lq: [b], lq_size: 64}
network_g: {type: span, norm: false}
train: {total_iter: 10, losses: [{type: mssimloss, loss_weight: 0.5}]}
"""
NEOSR = """
name = "train_span_otf"
model_type = "otf"
scale = 4
[datasets.train]
type = "otf"
dataroot_gt = 'C:\\gt\\'
patch_size = 64
"""
NEOSR_YAML = """
name: span
model_type: otf
bfloat16: true
datasets: {train: {type: otf, dataroot_gt: gt, patch_size: 64}}
"""
TRAINNER = """
name: 001
model: sr
gpu_ids: [0]
datasets: {train: {dataroot_HR: [a], dataroot_LR: [b]}}
network_G: esrgan
"""
KAIR = """{
  "task": "rrdb"     //  root/task/images-models-options
  , "model": "plain"
  , "netG": {"net_type": "rrdb"}
}
"""


@pytest.mark.parametrize(
    ('text', 'tool'),
    [
        (REDUX, 'option file of traiNNer-redux'),
        (NEOSR, 'TOML, the format of neosr'),
        (NEOSR.splitlines()[1], 'TOML, the format of neosr'),
        (NEOSR_YAML, 'option file of neosr'),
        (TRAINNER, 'option file of traiNNer'),
        (KAIR, 'JSON, the format of KAIR'),
    ],
    ids=['redux', 'neosr', 'a line', 'neosr before TOML', 'traiNNer', 'KAIR'],
)
def test_formats_of_others_are_named_with_their_tool(text, tool, tmp_path):
    (tmp_path / 'options').write_text(text)
    with pytest.raises(OptionError, match=tool) as caught:
        load_options(tmp_path / 'options')
    assert 'unknown option' not in str(caught.value)


@pytest.mark.parametrize('tool', SIGNS)
def test_signs_of_other_formats_are_no_options_of_ours(tool):
    for path in SIGNS[tool]:
        *sections, key = path.split('.')
        if sections != ['datasets', 'train']:
            assert key not in options_at(Options, sections)
        assert key not in signature(MultiGTDataset.__init__).parameters


def test_file_may_begin_with_a_byte_order_mark(paired_options, write):
    path = Path(write(paired_options))
    path.write_text(path.read_text(encoding='utf-8'), encoding='utf-8-sig')
    assert load_options(path).name == paired_options['name']


@pytest.mark.parametrize('wrong', [['a'], {'a': 1}, -1, True], ids=str)
@pytest.mark.parametrize(
    'path',
    [
        'model_type',
        'train',
        'train:pixel_opt',
        'train:pixel_opt:type',
        'train:scheduler:type',
        'datasets:train:type',
        'network_g:type',
    ],
)
def test_values_of_a_wrong_kind_are_refused_by_path(path, wrong, realesrgan, write):
    place(realesrgan, path)[path.split(':')[-1]] = wrong
    with pytest.raises(OptionError) as caught:
        load_options(write(realesrgan))
    assert path.replace(':', '.') in str(caught.value)
