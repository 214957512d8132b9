"""FIELD D16: no option is ignored, and no problem is found only when training is under way."""

import copy
import math
import re

import pytest
import torch

from iqasr.checking.check import load_options, options_from
from iqasr.checking.components import check_scorer, scorer_sections
from iqasr.options.file import apply_overrides, read_yaml
from iqasr.options.optimizers import find_scheduler
from iqasr.options.schema import Problems, check_section
from iqasr.options.sections import RECOGNISED
from iqasr.runtime.errors import OptionError
from iqasr.runtime.paths import packaged_weights


def problems_of(options, write_options, phase='train', overrides=()):
    with pytest.raises(OptionError) as caught:
        load_options(write_options(options), overrides, phase)
    return str(caught.value)


REFUSALS = {
    'network_g:upscale': (2, 'network_g.upscale: the network enlarges 2 times, but scale is 4.'),
    'train:ema_deacy': (0.99, "train.ema_deacy: unknown option. Did you mean 'ema_decay'?"),
    'val:val_frq': (5, "val.val_frq: unknown option. Did you mean 'val_freq'?"),
    'train:pixel_opt:loss_weigth': (
        1,
        "train.pixel_opt.loss_weigth: unknown option. Did you mean 'loss_weight'?",
    ),
    'train:optim_g:weight_deca': (
        0,
        "train.optim_g.weight_deca: unknown option. Did you mean 'weight_decay'?",
    ),
    'train:optim_g:type': ('Adma', "no optimiser is called 'Adma'. Did you mean 'Adam'?"),
    'train:optim_g:lr': ('fast', 'train.optim_g.lr: should be'),
    'network_g:type': ('RRDNet', "no arch is called 'RRDNet'. Did you mean 'RRDBNet'?"),
    'network_g:num_feat': ('many', "network_g.num_feat: should be a number, not 'many'."),
    'network_g:num_fea': (8, "network_g.num_fea: unknown option. Did you mean 'num_feat'?"),
    'datasets:train:gt_sise': (
        64,
        "datasets.train.gt_sise: unknown option. Did you mean 'gt_size'",
    ),
    'datasets:train:batch_size_per_gpu': (
        0,
        'datasets.train.batch_size_per_gpu: should be greater',
    ),
    'datasets:train:type': ('PairedDataset', "no dataset is called 'PairedDataset'."),
    'train:total_iter': (-1, 'train.total_iter: should be greater than 0, not -1.'),
    'train:pixel_opt': (True, 'train.pixel_opt: should be a valid dictionary, not True.'),
    'train:scheduler:type': (['StepLR'], "should be the name of a scheduler, not ['StepLR']"),
    'val:metrics:psnr:scorer': (3, 'val.metrics.psnr.scorer: '),
    'train:pixel_opt:type': ('L1los', "no loss is called 'L1los'. Did you mean 'L1Loss'?"),
    'val:metrics:psnr:type': ('calculate_psn', "Did you mean 'calculate_psnr'?"),
    'val:metrics:psnr:crop_boarder': (4, "Did you mean 'crop_border'?"),
    'val:metrics:psnr:better': ('up', "should be 'higher' or 'lower', not 'up'."),
    'model_type': ('VideoGANModel', 'VideoGANModel is for video super-resolution'),
    'datasets:train:sampling': ({'type': 'UniformSampler'}, 'train.sampling: unknown option'),
    'network_d': (
        {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3},
        'is not used without train.gan',
    ),
    'train:gan_opt': (
        {'type': 'GANLoss', 'gan_type': 'vanilla'},
        'network_d: is required by train',
    ),
    'train:base_opt': (
        {'type': 'BaseDistanceLoss'},
        'path.pretrain_network_g: is required by train.base_opt, which compares with',
    ),
    'train:lr_opt': (
        {'type': 'LRConsistencyLoss', 'criterion': 'l3'},
        "train.lr_opt.criterion: should be 'l1' or 'l2', not 'l3'.",
    ),
    'datasets:valid': ({'type': 'PairedImageDataset'}, 'datasets.valid: call it train, val, val_2'),
    'datasets:val:dataroot_lq': (3, 'datasets.val.dataroot_lq: should be a valid string, not 3.'),
    ' datasets:val:dataroot_lq': (['a'], 'val.dataroot_lq: give one folder; further sets: val_2'),
    'datasets:train:dataroot_lq': (
        ['a', 'b'],
        'datasets.train: give dataroot_gt and dataroot_lq equally many folders',
    ),
    'datasets:train:filename_tmpl': (
        {},
        """filename_tmpl: should be a valid string, not {}; quote a value with braces, '"{}"'.""",
    ),
    'datasets:val:name': ('a/b', 'datasets.val.name: '),
    'datasets:val:type': ('MultiGTDataset', 'MultiGTDataset cannot be used here; use Paired'),
    'datasets:train:io_backend': ({'typ': 'disk'}, 'io_backend: give a type: disk, lmdb'),
    'datasets:train:gt_size': ('abc', 'datasets.train.gt_size: should be a valid integer'),
    'train:adv_opt': ({'type': 'GANLoss', 'gan_type': 'vanilla'}, 'belongs to gan_opt'),
    'logger:wandb': (
        {'projct': 'x'},
        "logger.wandb.projct: unknown option. Did you mean 'project'",
    ),
    'name': ('', 'name: '),
    'scael': (4, "scael: unknown option. Did you mean 'scale'?"),
    'train:warmup_iter': (7, 'train.warmup_iter: is 7, more than total_iter, 6: the learning rate'),
    'train:net_d_init_iters': (
        6,
        'train.net_d_init_iters: the generator would first learn in iteration 7 of 6',
    ),
    'train:net_d_iters': (7, 'train.net_d_iters: the generator would first learn in iteration 7'),
    'train:pixel_opt:loss_weight': (-1, 'pixel_opt.loss_weight: should be a number from 0 on'),
    ' train:pixel_opt:loss_weight': ([1], 'should be a number from 0 on, not [1]'),
    'train:perceptual_opt': (
        {'type': 'PerceptualLoss', 'layer_weights': {'conv5_4': -1}},
        'train.perceptual_opt.layer_weights.conv5_4: should be a number from 0 on, not -1',
    ),
    'train:quality_opt': (
        {'type': 'QualityLoss', 'scorer': {'type': 'NIQEScorer'}, 'loss_weight': 1, 'target': 5},
        'train.quality_opt.target: is 5',
    ),
    ' train:quality_opt': (
        {'type': 'QualityLoss', 'scorer': {'type': 'NIQEScorer', 'range': [0, 20]}},
        'quality_opt.scorer.range: give [worst, best]; of this scorer, lower is better.',
    ),
    'path': (
        {'pretrain_network_g': 'a.pth', 'param_key_g': 'ema'},
        "path.param_key_g: 'ema' is no part of a file of weights",
    ),
    'train:scheduler': ({'type': 'ReduceLROnPlateau'}, 'it needs a metric at every step'),
    ' train:optim_g:lr': (True, 'train.optim_g.lr: should be a number, not True'),
    'manual_seed': (True, 'manual_seed: should be a number, not True'),
    'train:optim_g:betas': ([0.9, True], 'train.optim_g.betas.1: should be a number, not True'),
    'num_gpu': (-3, 'num_gpu.'),
    'network_g:num_block': (-1, 'network_g.num_block: should be a number from 0 on, not -1'),
    'val:metrics:psnr:crop_border': (-1, 'should be a whole number from 0 on, not -1'),
    ' val:metrics:psnr:type': ('calculate_psnr_pt', 'takes tensors; use calculate_psnr'),
    ' train:net_d_iters': (2, 'train.net_d_iters: is not used without train.gan_opt'),
    ' train:net_d_init_iters': (1, 'train.net_d_init_iters: is not used without train.gan_opt'),
    'path:pretrain_network_d': ('realesrgan-x4plus-netd', 'is not used without train.gan_opt'),
}


def put(options, path, value):
    *sections, last = path.strip().split(':')
    for key in sections:
        options = options.setdefault(key, {})
    options[last] = value


@pytest.mark.parametrize('path', REFUSALS)
def test_bad_option_is_refused_with_reason_and_remedy(path, paired_options, write_options):
    value, message = REFUSALS[path]
    put(paired_options, path, value)
    assert message in problems_of(paired_options, write_options)


NON_FINITE = {
    'scale': '.nan',
    'train:total_iter': '.inf',
    'train:ema_decay': '.nan',
    'train:clip_grad_norm': '.inf',
    'train:pixel_opt:loss_weight': '-.inf',
    'train:optim_g:lr': '1e400',
    'train:optim_g:betas': '[0.9, .NaN]',
    'train:scheduler': '{type: CosineAnnealingLR, T_max: 6, eta_min: .nan}',
    'train:scheduler:gamma': '.nan',
    'network_g:num_feat': '.inf',
    'datasets:val:name': '.nan',
    'datasets:train:io_backend': '{type: disk, more: [{deep: .inf}]}',
    'val:metrics:psnr:crop_border': '.nan',
    'logger:print_freq': '.nan',
    'path:root': '.nan',
    'lora': '{alpha: .inf}',
    'dist_params': '{port: .inf}',
}


@pytest.mark.parametrize('path', NON_FINITE)
def test_a_number_that_is_none_is_refused_by_name(path, paired_options, write_options):
    text = problems_of(paired_options, write_options, overrides=[f'{path}={NON_FINITE[path]}'])
    assert '1 problem\n' in text
    assert re.search(rf'{path.replace(":", ".")}\S*: is -?(nan|inf); give a finite number', text)


@pytest.mark.parametrize('path', ['train:ema_decay', 'train:pixel_opt:loss_weight', 'lora:alpha'])
@pytest.mark.parametrize('text', ['nan', 'inf', '-Infinity'])
def test_text_that_python_takes_for_no_number_is_refused(path, text, paired_options, write_options):
    said = problems_of(paired_options, write_options, overrides=[f'{path}={text}'])
    assert re.search(rf'{path.replace(":", ".")}: should be a (finite )?number, not .{text}', said)


def test_non_finite_options_in_basicsr_form_are_refused(paired_options):
    opt = paired_options | {'is_train': True, 'network_g': {'type': 'MSRResNet', 'x': [math.nan]}}
    with pytest.raises(OptionError, match=r'network_g\.x\.0: is nan'):
        options_from(opt)


def test_non_finite_options_of_a_scorer_on_the_command_line_are_refused():
    word = '{type: PyIQAScorer, metric: niqe, options: {x: .inf}}'
    with pytest.raises(OptionError, match=r'options\.x: is inf; give a finite number'):
        scorer_sections([word])


@pytest.mark.parametrize(('period', 'warned'), [(4, True), (6, False), (9, False)])
def test_cosine_that_rises_again_is_told(period, warned, paired_options, write_options, caplog):
    scheduler = {'type': 'CosineAnnealingLR', 'T_max': period, 'eta_min': 0}
    paired_options['train']['scheduler'] = scheduler
    load_options(write_options(paired_options))
    assert ('train.scheduler.T_max: is 4, less than total_iter, 6' in caplog.text) == warned


def test_all_problems_are_reported_at_once(paired_options, write_options):
    for path in list(REFUSALS)[:4]:
        put(paired_options, path, REFUSALS[path][0])
    text = problems_of(paired_options, write_options)
    assert '4 problems' in text
    assert all(path.split(':')[-1] in text for path in list(REFUSALS)[:4])


def test_message_on_an_unknown_class_says_how_to_bring_one(paired_options, write_options):
    paired_options['train']['pixel_opt']['type'] = 'MyLoss'
    said = problems_of(paired_options, write_options)
    assert 'Your own classes: `custom_imports: [module]`, or `--import module`.' in said


@pytest.mark.parametrize(
    'path',
    ['train:total_iter', 'train:optim_g', 'network_g', 'scale', 'datasets:val:dataroot_lq'],
)
def test_missing_option_is_named(path, paired_options, write_options):
    *sections, last = path.split(':')
    place = paired_options
    for key in sections:
        place = place[key]
    del place[last]
    text = problems_of(paired_options, write_options)
    assert f'{path.replace(":", ".")}: is required and missing.' in text


CANDIDATE_REFUSALS = {
    'sampling:type': ('SoftmaxSample', "Did you mean 'SoftmaxSampler'?"),
    'sampling': ({'type': 'SoftmaxSampler', 'temperature': -1}, 'sampling: temperature is -1'),
    ' sampling': (None, 'datasets.train.sampling: is required and missing.'),
    'dataroot_gt': (['a', 'b'], 'train.dataroot_gt: several folders are for photographs alone'),
    'degradation:stage': ({'noise_rang': [1, 2]}, "Did you mean 'noise_range'?"),
    'quality': (
        {'table': 'x.csv', 'scorer': {'type': 'NIQEScorer'}},
        'with a table or map, give the name',
    ),
}


@pytest.mark.parametrize('path', CANDIDATE_REFUSALS)
def test_bad_candidate_option_is_refused(path, candidate_options, write_options):
    value, message = CANDIDATE_REFUSALS[path]
    put(candidate_options['datasets']['train'], path, value)
    assert message in problems_of(candidate_options, write_options)


def test_originals_need_no_policy_and_may_lie_in_several_folders(candidate_options, write_options):
    train = candidate_options['datasets']['train']
    del train['sampling']
    train |= {'originals': True, 'dataroot_gt': ['a', 'b']}
    found = load_options(write_options(candidate_options)).datasets['train']
    assert found['sampling'] == {'type': 'UniformSampler', 'candidates': 'original'}
    assert found['dataroot_gt'] == ['a', 'b']


def test_lists_of_pairs_are_equally_long(paired_options, write_options):
    train = paired_options['datasets']['train']
    train |= {'dataroot_gt': ['a', 'b'], 'dataroot_lq': ['c', 'd']}
    load_options(write_options(paired_options))
    empty = {'dataroot_gt': [], 'dataroot_lq': []}
    paired_options['datasets']['train'] = train | empty
    text = problems_of(paired_options, write_options)
    assert 'equally many folders, at least one each' in text
    paired_options['datasets']['train'] = train
    train['meta_info_file'] = 'list.txt'
    text = problems_of(paired_options, write_options)
    assert 'datasets.train: a list of images goes with one dataroot_gt and one dataroot_lq' in text


def test_ranges_of_pyiqa_run_from_worst_to_best():
    pytest.importorskip('pyiqa')
    for metric, span, better in (
        ('musiq', [100, 0], 'higher'),
        ('musiq', [0, 100], None),
        ('piqe', [0, 100], 'lower'),
        ('piqe', [100, 0], None),
    ):
        problems = Problems()
        check_scorer(problems, 's', {'type': 'PyIQAScorer', 'metric': metric, 'range': span})
        wrong = [f's.range: give [worst, best]; of this scorer, {better} is better.']
        assert problems.entries == (wrong if better else [])


GUARD = {'optimised': 'score', 'held_out': ['psnr', 'ssim']}
GUARD_REFUSALS = {
    'name': ({'held_out': ['psnr', 'sim']}, "is called 'sim'. Did you mean 'ssim'?"),
    'optimised': ({'optimised': 'vote'}, "is called 'vote'. There are: psnr, ssim, score, "),
    'itself': ({'held_out': ['psnr', 'score']}, 'held_out: give others than `optimised`, once'),
    'twice': ({'held_out': ['psnr', 'psnr']}, 'held_out: give others than `optimised`, once'),
    'none': ({'held_out': []}, 'val.guard.held_out: List should have at least 1 item'),
    'alarm': ({'alarm': 3}, 'val.guard.alarm: is 3, but held_out has only 2.'),
    'direction': ({'held_out': ['detail']}, 'detail has no better direction; give it `better`.'),
    'base': ({'held_out': ['distance']}, 'distance starts at 0 and can only grow; leave it out.'),
    'tolerance': ({'tolerance': -1}, 'val.guard.tolerance: should be greater than or equal to 0'),
    'option': ({'patient': 2}, "val.guard.patient: unknown option. Did you mean 'patience'?"),
}


@pytest.fixture
def guard_options(paired_options):
    paired_options['path']['pretrain_network_g'] = 'base.pth'
    paired_options['val']['metrics'] |= {
        'ssim': {'type': 'calculate_ssim', 'crop_border': 4},
        'score': {'type': 'QualityMetric', 'scorer': {'type': 'NIQEScorer'}},
        'detail': {'type': 'calculate_high_frequency'},
        'distance': {'type': 'calculate_base_distance'},
    }
    paired_options['val']['guard'] = dict(GUARD)
    return paired_options


@pytest.mark.parametrize('kind', GUARD_REFUSALS)
def test_bad_guard_is_refused(kind, guard_options, write_options):
    changes, message = GUARD_REFUSALS[kind]
    guard_options['val']['guard'] |= changes
    assert message in problems_of(guard_options, write_options)


def test_guard_is_read(guard_options, write_options):
    guard_options['val']['metrics']['detail']['better'] = 'higher'
    guard_options['val']['guard']['held_out'] = ['psnr', 'detail']
    guard = load_options(write_options(guard_options)).val.guard
    assert (guard.held_out[1], guard.alarm, guard.tolerance) == ('detail', None, 2.0)


def test_guard_needs_something_to_validate_on(guard_options, write_options):
    del guard_options['datasets']['val']
    assert 'val.guard: needs a data set' in problems_of(guard_options, write_options)


@pytest.mark.parametrize('phase', ['train', 'test'])
def test_distance_to_the_base_needs_a_base(phase, guard_options, write_options):
    if phase == 'train':
        del guard_options['path']['pretrain_network_g']
    else:
        guard_options['datasets'] = {'test': guard_options['datasets']['val']}
    text = problems_of(guard_options, write_options, phase)
    assert 'val.metrics.distance: compares with the network that training starts from' in text


def test_sampler_that_needs_quality_asks_for_it(candidate_options, write_options):
    candidate_options['datasets']['train']['sampling'] = {'type': 'ArgmaxSampler'}
    text = problems_of(candidate_options, write_options)
    assert 'quality: is required by ArgmaxSampler.' in text


def test_values_become_what_the_constructor_asks_for(paired_options, write_options):
    options = load_options(write_options(paired_options), ('train:optim_g:betas=[0.9, 0.99]',))
    assert options.train.optim_g['betas'] == (0.9, 0.99)


def test_numbers_in_exponent_form_are_numbers(tmp_path):
    path = tmp_path / 'x.yml'
    path.write_text('a: 1e-4\nb: !!float 5e3\nc: 1.5e+2\nd: e5\nname: 1e\n')
    assert read_yaml(path) == {'a': 1e-4, 'b': 5000.0, 'c': 150.0, 'd': 'e5', 'name': '1e'}


def test_key_given_twice_is_refused(tmp_path):
    path = tmp_path / 'x.yml'
    path.write_text('a: 1\nb: 2\na: 3\n')
    with pytest.raises(OptionError, match=r"x.yml: line 3: 'a' is given twice"):
        read_yaml(path)
    path.write_text('a: {b: ~}\na: {b: ~}\n')
    assert read_yaml(path) == {'a': {'b': None}}


def test_missing_file_suggests_the_nearest(tmp_path):
    (tmp_path / 'rrdb_x4.yml').write_text('a: 1')
    with pytest.raises(OptionError, match=r"Did you mean 'rrdb_x4\.yml'"):
        read_yaml(tmp_path / 'rrbd_x4.yml')


def test_two_data_sets_of_one_name_are_refused(paired_options, write_options):
    paired_options['datasets']['val_2'] = paired_options['datasets']['val']
    assert "two are called 'pieces'" in problems_of(paired_options, write_options)


def test_quality_that_nobody_uses_is_refused(candidate_options, write_options):
    candidate_options['datasets']['train']['quality'] = {'scorer': {'type': 'NIQEScorer'}}
    text = problems_of(candidate_options, write_options)
    assert 'quality: is not used by UniformSampler.' in text
    candidate_options['datasets']['train']['quality'] = {'map': 'a.safetensors'}  # of places
    load_options(write_options(candidate_options))


def test_merge_keys_of_yaml_work(tmp_path):
    path = tmp_path / 'x.yml'
    path.write_text('a: &a {x: 1}\nb:\n  <<: *a\n  y: 2\n')
    assert read_yaml(path)['b'] == {'x': 1, 'y': 2}


@pytest.mark.parametrize('text', ['', '- 1', 'a: [1', 'a: b: c', '[a]: 1'])
def test_unusable_yaml_is_refused_by_name(tmp_path, text):
    path = tmp_path / 'x.yml'
    path.write_text(text)
    with pytest.raises(OptionError, match=r'x\.yml'):
        read_yaml(path)


def test_overrides_reach_any_depth():
    content = {'train': {'optim_g': {'lr': 1}}}
    apply_overrides(content, ['train:optim_g:lr=2e-4', 'val:val_freq=10', 'name=a b', 'x=~'])
    assert content == {
        'train': {'optim_g': {'lr': 2e-4}},
        'val': {'val_freq': 10},
        'name': 'a b',
        'x': None,
    }


@pytest.mark.parametrize('override', ['train', 'name:x=1', '=3', 'name=[a'])
def test_override_that_leads_nowhere_is_refused(override):
    with pytest.raises(OptionError, match='--force_yml'):
        apply_overrides({'name': 'a'}, [override])


def test_override_with_braces_is_to_be_quoted():
    with pytest.raises(OptionError, match=r"""quote a value with braces, 'a:b="{}x4"'\."""):
        apply_overrides({}, ['a:b={}x4'])
    apply_overrides(content := {}, ['a:b="{}x4"', 'c={type: L1Loss}'])
    assert content == {'a': {'b': '{}x4'}, 'c': {'type': 'L1Loss'}}


def test_section_without_a_value_is_not_given(paired_options, write_options):
    paired_options['datasets']['val_2'] = paired_options['datasets']['val'] | {'name': 'more'}
    weights = f'path:pretrain_network_g={packaged_weights("compact_x4.safetensors")}'
    empty = ['network_g', 'logger', 'num_gpu', 'model_type', 'datasets:val_2']
    options = load_options(write_options(paired_options), [weights, *[f'{k}=null' for k in empty]])
    assert options.network_g == RECOGNISED
    assert (options.logger.print_freq, options.num_gpu) == (100, 'auto')
    assert list(options.datasets) == ['train', 'val']
    with pytest.raises(OptionError, match=r'train.optim_g: is required and missing'):
        load_options(write_options(paired_options), ['train:optim_g=~'])
    with pytest.raises(OptionError, match=r'networkg: unknown option'):
        load_options(write_options(paired_options), ['networkg=~'])


def test_function_arguments_are_a_schema():
    def target(image, *, weight: float, mode: str = 'x'):
        return image

    problems = Problems()
    section = {'weight': '2', 'mod': 'y'}
    check_section(problems, 'p', section, target, ('image',))
    assert problems.entries == ["p.mod: unknown option. Did you mean 'mode'?"]
    assert check_section(Problems(), 'p', {'weight': '2'}, target, ('image',)) == {'weight': 2.0}


def test_an_annotation_that_cannot_be_resolved_leaves_the_others_checked():
    class Target:
        def __init__(self, image: 'OnlyForTypeCheckers', *, weight: 'int' = 1):  # noqa: F821
            pass

    problems = Problems()
    check_section(problems, 'p', {'image': [1], 'weight': 0.5}, Target)
    (entry,) = problems.entries
    assert entry.startswith('p.weight: should be a valid integer')


def test_kwargs_do_not_swallow_misspelled_options():
    def target(a: int = 1, **kwargs):
        return a

    problems = Problems()
    check_section(problems, 'p', {'b': 2}, target)
    assert len(problems.entries) == 1


def test_multi_step_is_that_of_basicsr():
    assert find_scheduler('MultiStepLR').__module__ == 'basicsr.models.lr_scheduler'
    assert find_scheduler('CosineAnnealingLR') is torch.optim.lr_scheduler.CosineAnnealingLR


def test_resolved_options_are_an_option_file(candidate_options, write_options, tmp_path):
    candidate_options['datasets']['train']['degradation']['stage'] = {'noise_range': [1, 2]}
    options = load_options(write_options(candidate_options))
    path = tmp_path / 'resolved.yml'
    path.write_text(options.as_yaml())
    assert load_options(path) == options


def test_checking_leaves_the_file_content_alone(paired_options):
    problems, before = Problems(), copy.deepcopy(paired_options)
    check_section(problems, 'x', paired_options['network_g'], lambda **kw: None)
    assert paired_options == before
