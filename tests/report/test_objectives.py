import copy
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from iqasr.checking.check import load_options
from iqasr.options.file import read_yaml
from iqasr.report.objective_plan import ObjectivePlan, ObjectiveRun, digest_of_data
from iqasr.report.objectives import compare_objectives, make_data
from iqasr.runtime.errors import DataError, OptionError
from iqasr.runtime.paths import project_root

SHIPPED = project_root() / 'options/studies/objectives.yml'
CONTENT = read_yaml(SHIPPED) | {
    'networks': ['small.pth'],
    'objectives': {'none': None, 'ranker': 'ranker', 'best': {'type': 'RankerScorer'}},
    'strengths': [0.5, 2],
    'iterations': 7,
    'patch_px': 64,
    'train_patches': 2,
    'test_photographs': 2,
}


@pytest.fixture
def plan(photographs, tmp_path):
    folder = tmp_path / 'photographs'
    folder.mkdir()
    for number, image in enumerate(photographs[:5]):
        cv2.imwrite(str(folder / f'{number}.png'), image[..., ::-1])
    return copy.deepcopy(CONTENT) | {'train': str(folder), 'test': str(folder)}


@pytest.fixture
def carry_out(plan, tmp_path):
    def run(*only: str) -> str:
        path = tmp_path / 'plan.yml'
        path.write_text(yaml.safe_dump(plan, sort_keys=False))
        return compare_objectives(str(path), str(tmp_path / 'study'), only)

    return run


@pytest.fixture
def commands(monkeypatch):
    """Take the place of trainings and tests: write what they would, and return what was asked."""
    asked, failing = [], []

    def act(command, option_file, overrides, *flags):
        options = read_yaml(option_file)
        asked.append((command, options['name'], *flags))
        if options['name'] in failing:
            raise RuntimeError('Traceback\nthere is no room to gain')
        root = Path(options['path']['root'])
        if command == 'train':
            models = root / 'experiments' / options['name'] / 'models'
            models.mkdir(parents=True)
            (models / 'net_g_latest.pth').touch()
            warning = '2026 WARNING: q_quality has fallen\n2026 INFO: done\n'
            (models.parent / 'train_a.log').write_text(warning * 2)
        else:
            write_results(root / 'results' / options['name'], options)

    monkeypatch.setattr('iqasr.report.commands.run_command', act)
    act.asked, act.failing = asked, failing
    return act


def write_results(folder: Path, options: dict) -> None:
    section = options['datasets']['test']
    gain = {'bicubic': -2.0, 'small-none': 0.0}.get(options['name'], 1.0)
    rows, files = {}, {}
    for number, gt in enumerate(sorted(Path(section['dataroot_gt']).glob('*.png'))):
        output = folder / 'visualization' / f'{gt.stem}.png'
        output.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(output), cv2.imread(str(gt)))
        rows[gt.stem] = 10 * number + gain
        files[gt.stem] = {'gt': str(gt), 'output': str(output)}
    content = {'means': {'psnr': float(np.mean(list(rows.values())))}, 'files': files}
    summary = {'name': 'x', 'better': {'psnr': 'higher'}, 'sets': {'photographs': content}}
    (folder / 'summary.json').write_text(json.dumps(summary))
    lines = ['name,psnr', *(f'{name},{value}' for name, value in rows.items())]
    (folder / 'photographs.csv').write_text('\n'.join(lines))


def test_all_runs_are_done_and_compared_with_the_control(carry_out, commands, tmp_path):
    text = carry_out()
    trained = [name for command, name, *_ in commands.asked if command == 'train']
    labels = ['none', 'ranker-0.5', 'ranker-2', 'best-0.5', 'best-2']
    assert trained == [f'small-{label}' for label in labels]
    assert '| ranker 2 - none | **+1.0000** [+1.0000, +1.0000] |' in text
    content = json.loads((tmp_path / 'study/small.json').read_text())
    assert content['runs']['bicubic']['differences'] == {'psnr': [-2.0, -2.0, -2.0]}
    assert content['runs']['none'] == {'means': {'psnr': 5.0}, 'differences': {}}
    assert content['warnings']['best 2'] == ['q_quality has fallen']
    height, width, _ = cv2.imread(str(tmp_path / 'study/small.png')).shape
    # Rows: to compare with, ranker, best, of each photograph. Columns: bicubic, start, none, truth.
    assert (height, width) == (2 * 3 * (312 + 22), 4 * 312)


def test_what_is_done_is_not_done_again_unless_its_options_change(carry_out, commands, plan):
    carry_out()
    commands.asked.clear()
    carry_out()
    assert commands.asked == []
    plan['objectives']['best'] = {'scorer': 'ranker', 'target': 0.9}
    plan['objectives']['best']['scorer'] = {'type': 'RankerScorer'}
    carry_out()
    assert commands.asked == [
        (command, f'small-best-{strength}', '--auto_resume')
        for strength in ('0.5', '2')
        for command in ('train', 'test')
    ]


def test_failing_run_is_reported_with_its_reason_and_stops_no_other(carry_out, commands, tmp_path):
    commands.failing.append('small-ranker-2')
    text = carry_out()
    assert '- ranker 2 failed: there is no room to gain' in text
    assert '| best 2 - none |' in text
    assert '| ranker 2' not in text
    assert json.loads((tmp_path / 'study/small.json').read_text())['failures'] == {
        'ranker 2': 'Traceback\nthere is no room to gain'
    }
    commands.failing.clear()
    assert '| ranker 2 - none |' in carry_out()


def test_without_a_control_there_is_nothing_to_compare_with(carry_out, commands):
    commands.failing.append('small-none')
    text = carry_out()
    assert 'there is no result of none' in text
    assert 'none failed: there is no room to gain' in text


def test_runs_can_be_limited_to_names(carry_out, commands):
    carry_out('best')
    trained = [name for command, name, *_ in commands.asked if command == 'train']
    assert trained == ['small-none', 'small-best-0.5', 'small-best-2']
    with pytest.raises(OptionError, match=r"has no bset. Did you mean 'best'"):
        carry_out('bset')


def test_tested_photographs_are_not_trained_on(plan, tmp_path):
    make_data(ObjectivePlan(**plan), tmp_path / 'data')
    names = {path.stem for path in (tmp_path / 'data/test/gt').iterdir()}
    assert names == {'0', '4'}
    trained = {path.stem.split('-')[0] for path in (tmp_path / 'data/train').iterdir()}
    assert trained == {'1', '2', '3'}
    assert cv2.imread(str(tmp_path / 'data/test/lq_x4/0.png')).shape == (16, 16, 3)


def test_too_few_or_too_small_photographs_are_refused(plan, tmp_path):
    with pytest.raises(DataError, match=r'has 5 photographs'):
        make_data(ObjectivePlan(**plan | {'test_photographs': 6}), tmp_path / 'data')
    with pytest.raises(DataError, match=r'0: is smaller than 128 px'):
        make_data(ObjectivePlan(**plan | {'patch_px': 128}), tmp_path / 'data')


def test_other_data_have_another_digest(plan):
    digest = digest_of_data(ObjectivePlan(**plan))
    assert digest_of_data(ObjectivePlan(**plan | {'strengths': [9]})) == digest
    assert digest_of_data(ObjectivePlan(**plan | {'reduce': 2})) != digest
    plan['options']['scale'] *= 2
    assert digest_of_data(ObjectivePlan(**plan)) != digest


def test_runs_differ_from_the_control_by_the_quality_term_alone(plan, tmp_path):
    control, weak, *_ = ObjectivePlan(**plan).runs_of('small.pth')
    own, other = (run.train_options(tmp_path, tmp_path / 'data') for run in (weak, control))
    term = own['train'].pop('quality_opt')
    assert term['scorer'] == {'type': 'RankerScorer'}
    assert (term['gradient_ratio'], term['calibrate_iter']) == (0.5, 10)
    assert own | {'name': 'small-none'} == other
    assert other['train']['total_iter'] == 7


def test_every_test_measures_what_any_run_optimises(plan):
    plan['objectives']['sharp'] = {'scorer': {'type': 'NIMAScorer'}, 'target': 0.9}
    val = ObjectivePlan(**plan).val()
    assert val['metrics']['best']['scorer'] == {'type': 'RankerScorer'}
    assert val['metrics']['sharp']['scorer'] == {'type': 'NIMAScorer'}
    assert 'ranker' not in val['metrics']  # in the panel already
    assert 'ranker' in val['panel']


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'objectives': {'ranker': 'ranker'}}, r'exactly one as null'),
        ({'objectives': {'none': None, 'a': 'rankr'}}, r"objectives.a: no scorer.*'ranker'"),
        ({'objectives': {'none': None, 'niqe': 'ranker'}}, r'objectives.niqe: val judges'),
        ({'iterations': {'other': 3}}, r'iterations: give a number for small.pth'),
        ({'strengths': [0]}, r'plan.strengths.0: should be greater than 0'),
        ({'strenghts': [1]}, r"Did you mean 'strengths'"),
        ({'patch_px': 66}, r'multiple of the scale, 4'),
        ({'networks': ['a.pth', 'b/a.pth']}, r'need different names'),
        ({'options': {'scale': 4}}, r'need scale, datasets.train and train'),
    ],
)
def test_plan_that_cannot_be_carried_out_is_refused(plan, tmp_path, change, message):
    path = tmp_path / 'plan.yml'
    path.write_text(yaml.safe_dump(plan | change))
    with pytest.raises(OptionError, match=message):
        ObjectivePlan.read(path)


def test_shipped_plan_writes_option_files_that_pass_the_check(tmp_path):
    plan = ObjectivePlan.read(SHIPPED)
    network = plan.networks[0]
    for run in plan.runs_of(network):
        assert isinstance(run, ObjectiveRun)
        path = tmp_path / 'train.yml'
        path.write_text(yaml.safe_dump(run.train_options(tmp_path, tmp_path)))
        assert load_options(path, phase='train').name == run.name
    path.write_text(yaml.safe_dump(plan.test_options('start', tmp_path, tmp_path, network)))
    assert load_options(path, phase='test').val.save_img
