"""An improvement with commands that are played: what is done, in which order, what is said."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from basicsr.archs.srvgg_arch import SRVGGNetCompact
from torch.nn.functional import interpolate

from iqasr.archs.bicubic import Bicubic
from iqasr.checking.check import load_options
from iqasr.improvement import improve as module
from iqasr.improvement.improve import Improvement, improve_command
from iqasr.improvement.material import Sizes, read_material, split
from iqasr.improvement.option_files import HELD_OUT
from iqasr.improvement.probe import lr_gain
from iqasr.improvement.verdict import verdict_of
from iqasr.models.networks import open_network
from iqasr.options.file import read_yaml
from iqasr.quality import RankerScorer
from iqasr.report.comparison import RunComparison
from iqasr.runtime.errors import DataError

BETTER = dict.fromkeys(('psnr', 'nima-mobilenet'), 'higher') | dict.fromkeys(
    ('stlpips', 'dists'), 'lower'
)


@pytest.fixture
def small(request, tmp_path):
    """A small network that spandrel recognises, of scale 4 unless a test says otherwise."""
    torch.manual_seed(0)
    scale = getattr(request, 'param', 4)
    network = SRVGGNetCompact(num_feat=8, num_conv=2, upscale=scale, act_type='prelu')
    torch.save({'params_ema': network.state_dict()}, tmp_path / 'small.pth')
    return tmp_path / 'small.pth'


@pytest.fixture
def source(photographs, tmp_path):
    """Ten photographs of 288 px, and a broken one."""
    folder = tmp_path / 'photographs'
    folder.mkdir()
    for number, image in enumerate(photographs):
        large = cv2.resize(image, (288, 288), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f'{number}.png'), large[..., ::-1])
    (folder / 'broken.png').write_bytes((folder / '0.png').read_bytes()[:999])
    return folder


@pytest.fixture
def commands(monkeypatch):
    """Take the place of trainings and tests; returns what was asked for."""
    asked = []

    def act(command, option_file, overrides=(), *flags):
        options = read_yaml(option_file)
        load_options(option_file, phase=command)
        asked.append(options['name'])
        root = Path(options['path']['root'])
        if command == 'train':
            models = root / 'experiments' / options['name'] / 'models'
            models.mkdir(parents=True)
            weights = torch.load(root.parent / 'small.pth')
            torch.save(weights, models / 'net_g_latest.pth')
        else:
            write_results(root / 'results' / options['name'], options)

    monkeypatch.setattr('iqasr.report.commands.run_command', act)
    monkeypatch.setattr(module, 'LPIPSScorer', RankerScorer)
    return asked


def write_results(folder, options):
    """Write results in which the improved network is a little better by all but PSNR."""
    gain = 0.1 * (options['name'] == 'improved')
    sets = {}
    for section in options['datasets'].values():
        rows, files = [], {}
        for number, gt in enumerate(sorted(Path(section['dataroot_gt']).glob('*.png'))):
            signs = {m: -1 if b == 'lower' or m == 'psnr' else 1 for m, b in BETTER.items()}
            values = {m: number + sign * gain * (1 + 0.1 * number) for m, sign in signs.items()}
            rows.append({'name': gt.stem} | values)
            lq = Path(section['dataroot_lq'], gt.name)
            files[gt.stem] = {'gt': str(gt), 'lq': str(lq), 'output': str(gt)}
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f'{section["name"]}.csv').open('w', newline='') as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        means = {metric: float(np.mean([row[metric] for row in rows])) for metric in BETTER}
        sets[section['name']] = {'means': means, 'files': files}
    content = {'name': options['name'], 'better': BETTER, 'sets': sets}
    (folder / 'summary.json').write_text(json.dumps(content))


def improve(small, source, root, **changes):
    choices = {'minutes': 0.001, 'reduce': 1, 'enhancers': ['UnsharpMask']} | changes
    return Improvement(str(small), str(source), root, **choices).run()


@pytest.mark.parametrize('small', [1, 2, 3], indirect=True)
def test_other_scales(small, source, tmp_path, commands, request):
    scale = request.node.callspec.params['small']
    root = tmp_path / 'out'
    improve(small, source, root)
    options = read_yaml(str(root / 'options/amo.yml'))
    assert options['scale'] == scale
    (test, *_) = read_yaml(str(root / 'options/start.yml'))['datasets'].values()
    gt, lq = (
        cv2.imread(str(next(Path(test[f'dataroot_{kind}']).glob('*.png')))) for kind in ('gt', 'lq')
    )
    assert len(commands) == 4
    assert gt.shape[0] == scale * lq.shape[0] > 200


def test_all_steps_lead_to_a_network_and_a_verdict(small, source, tmp_path, commands, caplog):
    caplog.set_level('INFO')
    root = tmp_path / 'out'
    text = improve(small, source, root)
    assert commands == ['amo', 'finetune', 'start', 'improved']
    assert '**The network is better than it was**' in text
    assert 'better by stlpips, dists, nima-mobilenet; worse by none' in text
    assert open_network(root / 'improved.pth')[1] == 4
    assert 'broken.png' in caplog.text
    assert 'Two trainings of 40 iterations' in caplog.text
    used = json.loads((root / 'data/photographs.json').read_text())
    assert [len(used[part]) for part in ('test', 'val', 'train')] == [3, 2, 5]
    assert len({*used['test'], *used['val'], *used['train']}) == 10
    for path in ('report/report.html', 'report/report.png', 'verdict.md', 'data/train/02'):
        assert (root / path).exists()


def test_only_what_was_edited_is_done_again(small, source, tmp_path, commands):
    root = tmp_path / 'out'
    first = improve(small, source, root)
    commands.clear()
    assert improve(small, source, root) == first
    assert commands == []
    path = root / 'options/finetune.yml'
    path.write_text(path.read_text().replace('lr: 0.0001', 'lr: 0.0003'))
    improve(small, source, root)
    assert commands == ['finetune', 'improved']
    assert read_yaml(path)['train']['optim_g']['lr'] == 0.0003
    commands.clear()
    path = root / 'options/amo.yml'
    path.write_text(path.read_text() + '# another comment\n')
    improve(small, source, root)
    assert commands == ['amo', 'finetune', 'improved']


def test_what_is_asked_for_otherwise_is_refused(small, source, tmp_path, commands):
    root = tmp_path / 'out'
    improve(small, source, root)
    commands.clear()
    with pytest.raises(DataError, match=r'photographs.json: source was .*photographs, not '):
        improve(small, tmp_path, root)
    for name, value, message in (
        ('reduce', 2, r'reduce was 1, not 2'),
        ('minutes', 0.002, r'minutes was 0.001, not 0.002.*remove .*options'),
        ('enhancers', ['LocalContrast'], r'made with other settings \(candidates\)'),
    ):
        with pytest.raises(DataError, match=message):
            improve(small, source, root, **{name: value})
    shutil.rmtree(root / 'options')
    improve(small, source, root, minutes=0.002)
    assert commands == ['amo', 'finetune', 'start', 'improved']


def test_networks_are_told_by_what_they_return(photographs):
    class Duller(Bicubic):
        def forward(self, x):
            return 0.9 * super().forward(x) + 0.05

    class Faithful(Bicubic):
        def forward(self, x):
            output = super().forward(x)
            back = interpolate(output, x.shape[-2:], mode='bicubic', antialias=True)
            return output + super().forward(x - back)

    images = [image[:96, :96] for image in photographs[:3]]
    gains = [lr_gain(kind(upscale=4), 4, images) for kind in (Bicubic, Duller, Faithful)]
    assert gains[0] == pytest.approx(0, abs=0.5)
    assert gains[1] < -1
    assert gains[2] > 1


def test_training_a_degraded_network_holds_it_less_to_pixels(small, source, tmp_path, commands):
    root = tmp_path / 'out'
    improve(small, source, root)
    random = read_yaml(root / 'options/amo.yml')  # random weights return nothing of their input
    assert random['datasets']['train']['degradation']['type'] == 'FirstOrderDegradation'
    assert random['train']['pixel_opt']['loss_weight'] == 0.5
    tested = read_yaml(root / 'options/improved.yml')['datasets']
    assert [section['name'] for section in tested.values()] == ['bicubic', 'degraded']


def compared(*gains):
    """Compare two runs on 12 images that differ by gains, one of each held-out scorer."""
    noise = np.random.default_rng(0).normal(0, 0.1, (len(HELD_OUT), 12))
    values = np.array([noise * 0, np.array(gains)[:, None] + noise])
    images = [str(number) for number in range(12)]
    return RunComparison(
        'set', ['start', 'improved'], images, dict.fromkeys(HELD_OUT, 'higher'), values
    )


@pytest.mark.parametrize(
    ('gains', 'said'),
    [
        ((1, 1, 0), 'is better than it was'),
        ((1, 0, 0), 'as far as this test can tell'),
        ((0, 0, 0), 'as far as this test can tell'),
        ((1, 1, -1), 'took no part in training disagree'),
        ((0, 0, -1), 'find it worse'),
    ],
)
def test_verdict_needs_half_of_the_judges_and_none_against(gains, said):
    assert said in verdict_of([compared(*gains)])
    assert 'as far as' in verdict_of([compared(1, 1, 1), compared(0, 0, 0)])


def test_visible_checkerboard_has_a_veto():
    found = compared(1, 1, 1)
    for after, said in (
        (0.3, 'a visible checkerboard pattern (0.30)'),
        (0.06, 'is better than it was'),
    ):
        checkerboard = np.array([np.full((1, 12), 0.05), np.full((1, 12), after)])
        values = np.concatenate([found.values, checkerboard], axis=1)
        better = found.better | {'checkerboard': 'lower'}
        assert said in verdict_of([replace(found, better=better, values=values)])


@pytest.mark.parametrize('count', [8, 40, 1000])
def test_no_photograph_serves_two_purposes(count):
    parts = split([f'{number:04d}' for number in range(count)])
    names = [name for part in parts.values() for name in part]
    assert len(names) == len(set(names))
    assert min(map(len, parts.values())) >= 2
    assert len(parts['test']) <= 24


def test_photographs_in_folders_keep_apart_and_the_right_twin_goes(source, tmp_path):
    (source / '0').mkdir()
    (source / '1.png').rename(source / '0/1.png')
    (source / '2.png').rename(source / '0_1.png')
    shutil.copy(source / '5.png', source / '5_twin.png')
    material = read_material(str(source), tmp_path / 'out', Sizes(4, 256, 1))
    names = ['0_1', '0', '0_1_', '3', '4', '5', '6', '7', '8', '9']
    assert sorted(material.squares) == sorted(names)
    assert [text for text in material.left_out if 'nearly' in text] == [
        '5_twin: nearly the same picture as another.'
    ]


def test_too_few_photographs_are_refused(small, source, tmp_path, capsys):
    for path in list(source.glob('[0-4].png')):
        path.unlink()
    with pytest.raises(DataError, match=r'5 photographs can be used, 8 are needed.*broken'):
        improve(small, source, tmp_path / 'out')
    words = ['-w', str(small), '-i', str(tmp_path / 'nowhere'), '-o', str(tmp_path / 'out')]
    assert improve_command(words) == 2
    assert 'no such folder' in capsys.readouterr().err
