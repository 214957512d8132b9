import copy
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from iqasr.checking.check import load_options
from iqasr.options.file import read_yaml
from iqasr.report import variants
from iqasr.report.variant_plan import VariantPlan, VariantRun, merged
from iqasr.report.variants import compare_variants, variant_tables
from iqasr.runtime.errors import DataError, OptionError
from iqasr.runtime.paths import project_root

SHIPPED = project_root() / 'options/studies/paper.yml'
SHORT = project_root() / 'options/studies/short.yml'
QUALITY = {'map': {'map': 'm.safetensors'}, 'table': {'table': 't.csv', 'norm': 'range01'}}

VARIANTS = ('amo', 'control', 'ft', 'sma', 'ft_full', 'control_gan', 'ft_gan')


@pytest.fixture
def plan(tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in 'abcd':
        cv2.imwrite(str(folder / f'{name}.png'), rng.integers(0, 256, (70, 90, 3), np.uint8))
    (tmp_path / 'names.txt').write_text('b\nd\n')
    content = read_yaml(SHIPPED)
    return content | {
        'tests': {
            'some': {'images': str(folder), 'only': str(tmp_path / 'names.txt'), 'crop_px': 64},
            'spread': {'images': str(folder), 'most': 2, 'crop_px': 80, 'reduce': 2},
        },
        'seeds': [0, 7],
        'variants': {n: content['variants'][n] for n in VARIANTS},
        'comparisons': [['control', 'amo'], ['ft', 'control'], ['ft', 'start']],
        'curve': ['control', 'ft'],
        'backbones': {'small': {'start': 'small.pth'}},
    }


@pytest.fixture
def carry_out(plan, tmp_path, monkeypatch):
    """Carry out a plan; trainings and tests write what they would, and are listed."""
    asked, failing, gains = [], [], {'control': 1.0, 'ft': 2.0}

    def act(command, option_file, overrides, *flags):
        options = read_yaml(option_file)
        asked.append((command, options['name']))
        if options['name'] in failing:
            raise RuntimeError('Traceback\nno room')
        root = Path(options['path']['root'])
        if command == 'train':
            models = root / 'experiments' / options['name'] / 'models'
            models.mkdir(parents=True)
            (models / 'net_g_latest.pth').touch()
        else:
            write_results(root / 'results' / options['name'], options)

    def write_results(folder, options):
        sets = {}
        for section in options['datasets'].values():
            rows, files = {}, {}
            for number, gt in enumerate(sorted(Path(section['dataroot_gt']).iterdir())):
                variant = options['name'].split('-')[1:2]
                rows[gt.stem] = number + gains.get(*variant, 0.0) if variant else 0.0
                files[gt.stem] = {'gt': str(gt), 'output': str(gt)}
            sets[section['name']] = {
                'means': {'psnr': float(np.mean([*rows.values()]))},
                'files': files,
            }
            lines = ['name,psnr', *(f'{name},{value}' for name, value in rows.items())]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f'{section["name"]}.csv').write_text('\n'.join(lines))
        summary = {'name': 'x', 'better': {'psnr': 'higher'}, 'sets': sets}
        (folder / 'summary.json').write_text(json.dumps(summary))

    monkeypatch.setattr('iqasr.report.commands.run_command', act)
    monkeypatch.setattr(variants, 'score_map', lambda *_, **__: Path('m.safetensors'))
    monkeypatch.setattr(variants, 'score_candidates', lambda *_: Path('t.csv'))

    def run(**flags):
        path = tmp_path / 'plan.yml'
        path.write_text(yaml.safe_dump(plan, sort_keys=False))
        return compare_variants(str(path), str(tmp_path / 'study'), **flags)

    run.asked, run.failing = asked, failing
    return run


def test_seed_after_seed_is_done_and_compared(carry_out, plan, tmp_path):
    text = carry_out()
    trained = [name for command, name in carry_out.asked if command == 'train']
    assert trained == [f'small-{v}-seed{s}' for s in (0, 7) for v in plan['variants']]
    assert '| ft - control | 2 | **+1.000** [+1.000, +1.000] |' in text
    assert '### some, spread' in text

    def folder(test):
        return tmp_path / 'study/tests' / VariantPlan(**plan).folder_of(test) / 'gt'

    assert sorted(p.stem for p in folder('some').iterdir()) == ['b', 'd']
    assert sorted(p.stem for p in folder('spread').iterdir()) == ['a', 'd']
    sizes = [cv2.imread(str(folder(n) / 'd.png')).shape for n in plan['tests']]
    assert sizes == [(64, 64, 3), (32, 44, 3)]
    for name in ('small.png', 'small_curve.png'):
        assert cv2.imread(str(tmp_path / 'study' / name)) is not None
    carry_out.asked.clear()
    assert carry_out() == text
    assert carry_out.asked == []


def test_test_set_is_made_anew_and_tested_when_the_plan_asks_for_another(carry_out, plan, tmp_path):
    carry_out()
    carry_out.asked.clear()
    plan['tests']['some']['crop_px'] = 48
    carry_out()
    assert {command for command, _ in carry_out.asked} == {'test'}
    assert len(carry_out.asked) == 2 + 2 * len(plan['variants'])
    tested = read_yaml(tmp_path / 'study/options/small-ft-seed7_test.yml')['datasets']['test']
    assert cv2.imread(f'{tested["dataroot_gt"]}/d.png').shape == (48, 48, 3)
    before = VariantPlan(**plan).folder_of('some')
    plan['options']['scale'] = 2
    assert VariantPlan(**plan).folder_of('some') != before


def test_what_starts_from_a_network_is_done_again_with_it(carry_out, tmp_path):
    carry_out()
    carry_out.asked.clear()
    shutil.rmtree(tmp_path / 'study/experiments/small-amo-seed7')
    carry_out()
    again = [f'small-{v}-seed7' for v in ('amo', 'control', 'ft', 'ft_full', 'control_gan')]
    trained = [name for command, name in carry_out.asked if command == 'train']
    assert trained == [*again, 'small-ft_gan-seed7']
    assert [name for command, name in carry_out.asked if command == 'test'] == trained


def test_what_is_done_is_reported_and_a_failure_named(carry_out):
    carry_out.failing += ['small-ft-seed7', 'small-amo-seed0']
    text = carry_out()
    assert '- small-ft-seed7 failed: no room' in text
    assert '| ft - control | 1 |' in text
    carry_out.asked.clear()
    assert '| ft - control | 1 |' in carry_out(only_report=True)
    assert carry_out.asked == []


def test_finetuning_starts_from_the_network_of_its_seed(plan, tmp_path):
    plan = VariantPlan(**plan)

    def options(variant):
        return plan.train_options(VariantRun('small', variant, 7), tmp_path, QUALITY.__getitem__)

    models = tmp_path / 'experiments/small-amo-seed7/models'
    path = options('ft_gan')['path']
    assert path['pretrain_network_g'] == str(models / 'net_g_latest.pth')
    assert path['param_key_g'] == 'params_ema'
    assert path['pretrain_network_d'] == str(models / 'net_d_latest.pth')
    assert 'pretrain_network_d' not in options('ft')['path'] | options('amo')['path']
    assert options('amo')['path']['pretrain_network_g'] == 'small.pth'
    assert options('amo')['datasets']['train']['quality'] == QUALITY['map']
    assert options('sma')['datasets']['train']['quality'] == QUALITY['table']
    assert options('ft')['manual_seed'] == 7


def test_what_a_variant_takes_away_another_may_give_back(plan, tmp_path):
    plan = VariantPlan(**plan)
    control, with_gan, full = (
        plan.train_options(VariantRun('small', v, 0), tmp_path, QUALITY.__getitem__)
        for v in ('control', 'control_gan', 'ft_full')
    )
    assert 'network_d' in plan.options
    assert 'network_d' not in control | full
    assert {'gan_opt', 'optim_d'} & {*control['train'], *full['train']} == set()
    assert with_gan['train']['gan_opt'] == plan.options['train']['gan_opt']
    assert with_gan['network_d'] == plan.options['network_d']


def test_backbone_may_take_part_in_some_variants(plan, tmp_path):
    plan['backbones']['small']['variants'] = ['amo', 'control']
    assert VariantPlan(**plan).variants_of('small') == ['amo', 'control']
    plan['backbones']['small']['variants'] = ['ft', 'none']
    (tmp_path / 'plan.yml').write_text(yaml.safe_dump(plan))
    with pytest.raises(OptionError) as caught:
        VariantPlan.read(tmp_path / 'plan.yml')
    assert 'backbones.small.variants: none is no variant.' in str(caught.value)
    assert 'backbones.small.variants: lacks amo, from which others start.' in str(caught.value)


def test_control_differs_by_the_quality_term_alone(plan, tmp_path):
    plan = VariantPlan(**plan)
    ft, control, full = (
        plan.train_options(VariantRun('small', v, 0), tmp_path, QUALITY.__getitem__)
        for v in ('ft', 'control', 'ft_full')
    )
    assert ft['train'].pop('quality_opt')['gradient_ratio'] > 0
    assert ft | {'name': ''} == control | {'name': ''}
    assert 'lora' not in full


def test_options_are_merged_by_section():
    base = {'a': {'type': 'X', 'n': 1}, 'b': {'c': [1], 'd': 2}}
    assert merged(base, {'a': {'type': 'Y'}, 'b': {'c': [3], 'd': None}}) == {
        'a': {'type': 'Y'},
        'b': {'c': [3]},
    }
    assert merged(base, {'a': {'type': 'X', 'm': 2}})['a'] == {'type': 'X', 'n': 1, 'm': 2}
    assert base == {'a': {'type': 'X', 'n': 1}, 'b': {'c': [1], 'd': 2}}


def test_tables_pair_seeds_and_images_and_mark_what_is_certain():
    base = {0: {'psnr': np.array([1.0, 5.0, 9.0])}, 1: {'psnr': np.array([2.0, 6.0, 10.0])}}
    better = {seed: {'psnr': values['psnr'] + 0.5} for seed, values in base.items()}
    values = {'uniform': base, 'amo': better, 'sma': {1: base[1]}}
    pairs = [('amo', 'uniform'), ('sma', 'uniform'), ('sma', 'absent')]
    lines = variant_tables(values, {'psnr': 'higher'}, pairs).splitlines()
    assert lines[0] == '| variant | seeds | psnr ↑ |'
    assert '| uniform | 2 | 5.500 |' in lines
    assert '| amo - uniform | 2 | **+0.500** [+0.500, +0.500] |' in lines
    assert '| sma - uniform | 1 | +0.000 [+0.000, +0.000] |' in lines


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'variants': {'a': {'after': 'b'}, 'b': {}}}, r'variants.a.after: b does not stand'),
        ({'comparisons': [['amo', 'ama']]}, r'ama: is compared, but is no variant'),
        ({'options': {'scale': 4}}, r'need scale, datasets.train and train'),
        ({'seed': [1]}, r"Did you mean 'seeds'"),
    ],
)
def test_plan_that_contradicts_itself_is_refused(plan, tmp_path, change, message):
    path = tmp_path / 'plan.yml'
    path.write_text(yaml.safe_dump(copy.deepcopy(plan) | change))
    with pytest.raises(OptionError, match=message):
        VariantPlan.read(path)


def test_missing_test_image_is_named(carry_out, tmp_path):
    (tmp_path / 'names.txt').write_text('b\nz\n')
    with pytest.raises(DataError, match=r'has no image z'):
        carry_out()


@pytest.mark.parametrize(
    ('shipped', 'runs'),
    [
        (SHIPPED, [('srvgg', 'amo'), ('dat', 'ft_full'), ('srvgg', 'ft')]),
        (SHORT, [('srvgg', 'uniform'), ('srvgg', 'amo'), ('srvgg', 'ft')]),
    ],
)
def test_shipped_plans_write_option_files_that_pass_the_check(shipped, runs, tmp_path):
    plan = VariantPlan.read(shipped)
    for backbone, variant in runs:
        run = VariantRun(backbone, variant, 0)
        path = tmp_path / 'train.yml'
        path.write_text(yaml.safe_dump(plan.train_options(run, tmp_path, QUALITY.__getitem__)))
        assert load_options(path, phase='train').name == run.name
    options = plan.test_options('start', tmp_path, tmp_path, 'dat-light-x4')
    path.write_text(yaml.safe_dump(options))
    assert load_options(path, phase='test').val.save_img
