"""The test command: several checkpoints, several ground truths, restored images, a panel."""

import csv
import json
from pathlib import Path

import basicsr.metrics
import cv2
import numpy as np
import pytest
import torch
import yaml
from filelock import FileLock

from iqasr.checking.check import load_options
from iqasr.evaluation import evaluate as evaluation
from iqasr.evaluation.measured_images import MeasuredImages
from iqasr.evaluation.result_folder import read_result_folders
from iqasr.registry import ARCH_REGISTRY, build
from iqasr.report import write_report
from iqasr.report.origin import differing_options, find_origin
from iqasr.runtime.errors import OptionError
from iqasr.training.commands import test_command as command


@pytest.fixture
def options(labelled_set, tmp_path):
    metric = {'crop_border': 4}
    return {
        'name': 'tiny',
        'scale': 4,
        'num_gpu': 0,
        'manual_seed': 0,
        'datasets': {
            'test': {
                'name': 'Test-100',
                'type': 'EvaluationDataset',
                'dataroot_gt': str(labelled_set),
                'dataroot_lq': str(labelled_set / 'lq'),
            }
        },
        'network_g': {'type': 'MSRResNet', 'num_feat': 8, 'num_block': 1, 'upscale': 4},
        'path': {'root': str(tmp_path)},
        'val': {
            'save_img': True,
            'metrics': {
                'psnr': metric | {'type': 'calculate_psnr'},
                'psnr_y': metric | {'type': 'calculate_psnr', 'test_y_channel': True},
                'ssim': metric | {'type': 'calculate_ssim'},
            },
        },
    }


@pytest.fixture
def run(write_options):
    def run(options, *flags):
        return command(['-opt', write_options(options), *flags])

    return run


def rows_of(folder):
    with (folder / 'Test-100.csv').open() as file:
        return {
            row.pop('name'): {k: float(v) for k, v in row.items()} for row in csv.DictReader(file)
        }


def test_metrics_are_means_over_the_positives_as_basicsr_computes_them(
    options, run, labelled_set, tmp_path
):
    assert run(options) == 0
    folder = tmp_path / 'results/tiny'
    rows = rows_of(folder)
    positives = {'00_a-0': ['01', '03'], '01_a-1': ['02']}
    assert rows.keys() == positives.keys()
    for name, kinds in positives.items():
        output = cv2.imread(str(folder / f'visualization/Test-100/{name}_tiny.png'))
        gts = [cv2.imread(str(labelled_set / f'images/{k}/{name}_{k}.png')) for k in kinds]
        for metric, luma in (('psnr', False), ('psnr_y', True), ('ssim', False)):
            function = getattr(basicsr.metrics, f'calculate_{metric.removesuffix("_y")}')
            expected = np.mean([function(output, gt, 4, test_y_channel=luma) for gt in gts])
            assert rows[name][metric] == pytest.approx(expected, abs=1e-6)
    summary = json.loads((folder / 'summary.json').read_text())
    assert summary['sets']['Test-100']['means']['psnr'] == pytest.approx(
        np.mean([row['psnr'] for row in rows.values()])
    )
    assert summary['sets']['Test-100']['files']['00_a-0']['gt'].endswith('01/00_a-0_01.png')
    load_options(folder / 'options.yml', phase='test')


def test_restored_images_measure_as_when_they_were_made(options, run, tmp_path):
    run(options)
    folder = tmp_path / 'results/tiny'
    again = {k: v for k, v in options.items() if k != 'network_g'} | {'name': 'again'}
    section = again['datasets']['test']
    del section['dataroot_lq']
    section |= {
        'dataroot_restored': str(folder / 'visualization/Test-100'),
        'restored_tmpl': '{}_tiny',
    }
    assert run(again) == 0
    assert rows_of(tmp_path / 'results/again') == rows_of(folder)
    summary = json.loads((tmp_path / 'results/again/summary.json').read_text())
    files = summary['sets']['Test-100']['files']['00_a-0']
    assert files['output'] == str(folder / 'visualization/Test-100/00_a-0_tiny.png')


def test_restored_images_of_another_test_set_are_refused(options, run, labelled_set, capsys):
    section = options['datasets']['test']
    section |= {'dataroot_restored': str(labelled_set / 'images/01')}
    assert run(options) == 2
    said = capsys.readouterr().err
    assert "00_a-0.*: missing, the output of '00_a-0'" in said
    assert '00_a-0_01.png: the test set has no image of this name' in said


def test_several_checkpoints_have_a_folder_each(options, run, tmp_path):
    for number in (9, 10):
        torch.manual_seed(number)
        weights = build(ARCH_REGISTRY, options['network_g']).state_dict()
        torch.save({'params': weights}, tmp_path / f'net_g_{number}.pth')
    assert run(options, '--checkpoints', str(tmp_path / 'net_g_*.pth')) == 0
    root = tmp_path / 'results/tiny'
    assert sorted(p.name for p in root.iterdir() if p.is_dir()) == ['net_g_10', 'net_g_9']
    means = []
    for number in (9, 10):
        folder = root / f'net_g_{number}'
        assert (folder / 'visualization/Test-100/00_a-0_tiny.png').is_file()
        written = yaml.safe_load((folder / 'options.yml').read_text())
        assert written['path']['pretrain_network_g'] == str(tmp_path / f'net_g_{number}.pth')
        summary = json.loads((folder / 'summary.json').read_text())
        assert summary['name'] == f'tiny/net_g_{number}'
        means.append(summary['sets']['Test-100']['means']['psnr'])
    assert means[0] != means[1]
    options['path']['pretrain_network_g'] = str(tmp_path / 'net_g_10.pth')
    assert run(options) == 0
    alone = json.loads((root / 'summary.json').read_text())
    assert alone['sets']['Test-100']['means']['psnr'] == means[1]


def test_report_of_a_run_compares_its_checkpoints(options, run, tmp_path):
    models = tmp_path / 'experiments/tiny/models'
    models.mkdir(parents=True)
    (models.parent / 'tiny.yml').write_text('name: tiny\nscale: 4')
    for number in (9, 10):
        weights = build(ARCH_REGISTRY, options['network_g']).state_dict()
        torch.save({'params': weights}, models / f'net_g_{number}.pth')
    run(options, '--checkpoints', str(models / 'net_g_*.pth'))
    report = write_report([tmp_path / 'results/tiny'], tmp_path / 'report.html')
    rows = [line.split('|')[1].strip() for line in report.table.splitlines()[2:4]]
    assert rows == ['tiny/net_g_9', 'tiny/net_g_10']
    assert report.missing == []
    results = read_result_folders([tmp_path / 'results/tiny'])
    origins = [find_origin(result) for result in results]
    assert origins[0].training == {'name': 'tiny', 'scale': '4'}
    differing = differing_options(origins)
    assert list(differing) == ['test: path.pretrain_network_g']
    assert [Path(value).name for value in differing['test: path.pretrain_network_g']] == [
        'net_g_9.pth',
        'net_g_10.pth',
    ]


def test_checkpoints_of_different_networks_are_recognised(options, run, tmp_path):
    del options['network_g']
    for blocks in (1, 2):
        section = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8}
        network = build(ARCH_REGISTRY, section | {'num_block': blocks})
        torch.save({'params': network.state_dict()}, tmp_path / f'rrdb_{blocks}.pth')
    assert run(options, '--checkpoints', str(tmp_path / 'rrdb_*.pth')) == 0
    for blocks in (1, 2):
        written = load_options(tmp_path / f'results/tiny/rrdb_{blocks}/options.yml', phase='test')
        assert written.network_g['num_block'] == blocks


def test_checkpoints_of_restored_images_are_refused(options, run, labelled_set, capsys):
    section = {'name': 'a', 'type': 'EvaluationDataset'}
    options['datasets']['test'] = section | {'dataroot_restored': str(labelled_set / 'images/01')}
    assert run(options, '--checkpoints', 'nowhere.pth') == 2
    assert '--checkpoints' in capsys.readouterr().err


def test_checkpoint_that_is_not_there_is_named(options, run, capsys):
    assert run(options, '--checkpoints', 'nowhere/net_g_*.pth') == 2
    assert '--checkpoints nowhere/net_g_*.pth: there is no such file.' in capsys.readouterr().err


def test_panel_continues_without_missing_weights_and_exits_with_1(
    options, run, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr('pyiqa.utils.download_util.DEFAULT_CACHE_DIR', str(tmp_path / 'none'))
    monkeypatch.setattr('pyiqa.utils.download_util.download_url_to_file', refuse)
    options['val'] |= {'panel': ['piqe', 'cnniqa', 'entropy'], 'panel_crop_border': 4}
    assert run(options) == 1
    folder = tmp_path / 'results/tiny'
    text = capsys.readouterr().err
    assert "cnniqa is left out: pyiqa's metric 'cnniqa' needs https://" in text
    assert 'not measured: cnniqa' in text
    better = json.loads((folder / 'summary.json').read_text())['better']
    assert list(better)[-2:] == ['piqe', 'entropy']
    assert better['piqe'] == 'lower'
    for name, row in rows_of(folder).items():
        output = cv2.imread(str(folder / f'visualization/Test-100/{name}_tiny.png'))[
            4:-4, 4:-4, ::-1
        ]
        tensor = torch.from_numpy(output.copy()).permute(2, 0, 1)[None].float() / 255
        for metric in ('piqe', 'entropy'):
            direct = pyiqa.create_metric(metric, device='cpu')(tensor).item()
            assert row[metric] == pytest.approx(direct, abs=1e-5)


pyiqa = pytest.importorskip('pyiqa')


def refuse(url, *_, **__):
    raise ConnectionError('no network in tests')


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('musik', "val.panel: no scorer is called 'musik'. Did you mean 'musiq'?"),
        ('rankr', "Did you mean 'ranker'?"),
        ('psnr', "val.panel: 'psnr' is measured already; name it once."),
    ],
)
def test_wrong_name_in_the_panel_is_refused(options, write_options, name, message):
    options['val']['panel'] = [name]
    with pytest.raises(OptionError) as caught:
        load_options(write_options(options), phase='test')
    assert message in str(caught.value)


def test_network_is_needed_unless_all_is_restored(options, write_options):
    del options['network_g']
    with pytest.raises(OptionError, match='network_g: is required and missing'):
        load_options(write_options(options), phase='test')


def test_pictures_of_an_earlier_test_of_that_name_are_set_aside(options, run, tmp_path):
    assert run(options) == 0
    shown = tmp_path / 'results/tiny/visualization/Test-100'
    stale = shown / 'stale.png'
    stale.write_bytes(next(shown.iterdir()).read_bytes())
    names = {path.name for path in shown.iterdir()}
    assert run(options) == 0
    assert {path.name for path in shown.iterdir()} == names - {'stale.png'}
    [archive] = (tmp_path / 'results/tiny').glob('visualization_archived_*')
    assert {path.name for path in (archive / 'Test-100').iterdir()} == names
    report = write_report([tmp_path / 'results/tiny'], tmp_path / 'out')
    assert report.missing == []


def test_second_test_of_the_same_name_is_refused(options, run, tmp_path, capsys):
    (tmp_path / 'results').mkdir()
    with FileLock(tmp_path / 'results/.tiny.lock'):
        assert run(options) == 2
    assert 'another process is at work under this name' in capsys.readouterr().err
    assert not (tmp_path / 'results/tiny').exists()
    assert run(options) == 0


def test_folder_without_ground_truth_has_no_reference_values_only(
    options, run, labelled_set, tmp_path
):
    del options['network_g']
    options['datasets']['test'] = {
        'name': 'Test-100',
        'type': 'EvaluationDataset',
        'dataroot_restored': str(labelled_set / 'images/01'),
    }
    options['val']['metrics']['detail'] = {'type': 'calculate_high_frequency'}
    assert run(options) == 0
    row = rows_of(tmp_path / 'results/tiny')['00_a-0_01']
    assert np.isnan(row['psnr'])
    assert 0 < row['detail'] < 1


@pytest.fixture
def stopped_test(options, run, tmp_path, monkeypatch):
    """Results of a whole test, and a test of that name that was stopped after its first image."""
    assert run(options) == 0
    folder = tmp_path / 'results/tiny'
    whole = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    keep, count = MeasuredImages.add, iter(range(100))

    def stop_after_one(self, *arguments):
        if next(count) == 1:
            raise KeyboardInterrupt
        keep(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(MeasuredImages, 'add', stop_after_one)
        with pytest.raises(KeyboardInterrupt):
            run(options)
    assert len(list((folder / '.unfinished/Test-100').iterdir())) == 1
    return folder, whole


def measured_anew(monkeypatch):
    """Names of the images that are measured from now on, in a list that grows."""
    names, measure = [], evaluation.measure

    def note(metric, name, *rest):
        names.append(name)
        return measure(metric, name, *rest)

    monkeypatch.setattr(evaluation, 'measure', note)
    return names


def test_stopped_test_goes_on_with_the_images_that_are_left(
    options, run, stopped_test, monkeypatch
):
    folder, whole = stopped_test
    measured = measured_anew(monkeypatch)
    assert run(options, '--auto_resume') == 0
    assert set(measured) == {list(rows_of(folder))[1]}
    for name in ('Test-100.csv', 'summary.json', 'options.yml'):
        assert (folder / name).read_bytes() == whole[name]
    assert not (folder / '.unfinished').exists()


@pytest.mark.parametrize('change', ['options', 'weights', 'images', 'no flag'])
def test_stopped_test_of_something_else_begins_anew(
    options, run, stopped_test, labelled_set, tmp_path, monkeypatch, change
):
    folder, _ = stopped_test
    if change == 'options':
        options['val']['metrics']['ssim']['crop_border'] = 2
    elif change == 'weights':
        network = build(ARCH_REGISTRY, options['network_g'])
        torch.save({'params': network.state_dict()}, tmp_path / 'other.pth')
        options['path'] |= {'pretrain_network_g': str(tmp_path / 'other.pth')}
    elif change == 'images':
        for path in labelled_set.rglob('01_a-1*'):
            path.unlink()
    measured = measured_anew(monkeypatch)
    run(options, *([] if change == 'no flag' else ['--auto_resume']))
    assert set(measured) == rows_of(folder).keys()
