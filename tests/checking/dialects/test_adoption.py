"""What option files of other tools become, against expectations written by hand."""

import logging

import pytest

from iqasr.checking.check import load_options
from iqasr.checking.dialects import adopt
from iqasr.checking.dialects.families import FAMILIES as MODELS
from iqasr.checking.dialects.families import REFUSED
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
    options, _ = adopt(realesrgan)
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
    assert options['degradation'] == {
        'type': 'SecondOrderDegradation',
        'first': STAGE_1 | sizes,
        'second': second | sizes,
        'final_sinc': {'prob': 0.6, 'kernel_size': [7, 21]},
    }


def test_degradation_of_hggt(hggt):
    options, _ = adopt(hggt)
    stage = STAGE_1 | {'blur_kernel_size': [3, 9]}
    assert options['degradation'] == {'type': 'FirstOrderDegradation', 'stage': stage}


def test_enhancers_of_hggt(enhancement):
    options, _ = adopt(enhancement)
    kernels = {'blur_sigma': [0.1, 0.5], 'blur_kernel_size': [3, 7]}
    shape = {key: STAGE_1[key] for key in STAGE_1 if not key.startswith('beta')}
    assert options['degradation']['stage'] == shape | kernels
    assert options['sampling']['candidates'] == 'original'
    assert options['datasets']['train']['originals'] is True
    network = enhancement['network_g'] | {'type': 'RCAN', 'upscale': 1}
    assert options['network_g'] == network
    assert options['network_d']['type'] == 'UNetDiscriminatorSN'


def test_data_set_of_hggt(hggt):
    roots = hggt['datasets']['train']
    options, _ = adopt(hggt)
    assert options['sampling'] == {
        'type': 'UniformSampler',
        'candidates': 'positives-else-original',
    }
    assert options['datasets']['train'] == {
        'name': 'PosNegGT',
        'type': 'MultiGTDataset',
        'dataroot_gt': roots['dataroot_all_gt'],
        'dataroot_labels': roots['dataroot_all_json'],
        'gt_size': 32,
        'use_hflip': True,
        'use_rot': False,
        'num_worker_per_gpu': 0,
        'batch_size_per_gpu': 2,
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
    options, _ = adopt(hggt)
    assert options['sampling']['candidates'] == candidates
    assert options['datasets']['train'].get('originals') == originals


def test_terms_of_ldl_and_esrgan(ldl):
    train = adopt(ldl)[0]['train']
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
    options, _ = adopt(realesrgan | {'model_type': model} | switches)
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
    assert place(adopt(basicsr)[0], found)[found.split(':')[-1]] == expected


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
        ({'gray_noise_probb': 0.4}, 'gray_noise_probb: unknown option, left out.'),
        ({'gt_usm': True}, 'gt_usm: left out: its model does not read it'),
    ],
)
def test_contradictions_and_unknown_options_are_warnings(change, warning, realesrgan):
    assert any(warning in text for text in adopt(realesrgan | change)[1].warnings)


def test_options_of_a_degradation_that_never_happens_are_warnings(realesrgan_pairs):
    _, account = adopt(realesrgan_pairs | {'jpeg_range': [30, 95], 'queue_size': 4})
    assert 'jpeg_range: left out, since nothing is degraded here.' in account.warnings
    assert 'queue_size: left out, since nothing is degraded here.' in account.warnings


@pytest.mark.parametrize(
    ('path', 'known'),
    [
        ('train:ema_deacy', 'ema_decay'),
        ('train:pixel_opt:loss_weigth', 'loss_weight'),
        ('train:optim_g:weight_deca', 'weight_decay'),
        ('network_g:num_fea', 'num_feat'),
        ('datasets:train:gt_sise', 'gt_size'),
        ('val:metrics:psnr:crop_boarder', 'crop_border'),
    ],
)
def test_misspelling_is_a_warning_there_and_an_error_in_ours(path, known, basicsr, write):
    place(basicsr, path)[path.split(':')[-1]] = 1
    _, account = adopt(basicsr)
    where = path.replace(':', '.')
    assert f"{where}: unknown option, left out. Did you mean '{known}'?" in account.warnings
    del basicsr['model_type'], basicsr['datasets']['train']['use_flip']
    with pytest.raises(OptionError, match=f'{where}: unknown option'):
        load_options(write(basicsr))


@pytest.mark.parametrize(('asked', 'tiles'), [(True, (480, 24)), (False, (None, 32))])
def test_tiles_of_hggt(asked, tiles, hggt, write):
    val = load_options(write(hggt | {'tile_process': asked})).val
    assert (val.tile_px, val.tile_overlap_px) == tiles


def test_a_metric_that_is_not_here_is_left_out(basicsr):
    basicsr['val']['metrics']['lpips'] = {'type': 'calculate_lpips', 'crop_border': 4}
    options, account = adopt(basicsr)
    assert list(options['val']['metrics']) == ['psnr']
    assert any('QualityMetric' in warning for warning in account.warnings)


def test_file_that_never_validates_needs_no_frequency(basicsr):
    del basicsr['val']
    options, _ = adopt(basicsr)
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
    options, account = adopt(paired_options)
    assert options == paired_options
    assert account.became == account.warnings == []


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
def test_values_of_a_wrong_kind_are_refused_in_words(path, wrong, realesrgan, write):
    place(realesrgan, path)[path.split(':')[-1]] = wrong
    with pytest.raises(OptionError) as caught:
        load_options(write(realesrgan))
    assert path.replace(':', '.') in str(caught.value)
