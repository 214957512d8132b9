"""The best values of a run, which survive a resume."""

import json

import pytest

from iqasr.evaluation.evaluate import Result
from iqasr.evaluation.history import ValidationHistory
from iqasr.metrics import build_metric
from iqasr.options.sections import GuardOptions, ValOptions
from iqasr.runtime.distributed import Process

METRICS = [build_metric('psnr', {'type': 'calculate_psnr', 'crop_border': 0})]


@pytest.fixture
def history(tmp_path):
    """Make the history of a folder, after some validations."""

    def make(*values):
        made = ValidationHistory(ValOptions(val_freq=100), METRICS, ['a'], tmp_path, Process())
        for number, value in enumerate(values, 1):
            made.add(Result('a', [{'name': 'x', 'psnr': value}]), 100 * number, None)
        return made

    return make


@pytest.mark.parametrize(
    ('until', 'best'), [(100, (30.0, 100)), (200, (30.0, 100)), (300, (31.0, 300)), (50, None)]
)
def test_resuming_from_an_earlier_checkpoint_keeps_the_best_until_then(until, best, history):
    history(30.0, 29.0, 31.0, 32.0)
    resumed = history()
    resumed.read(until)
    found = resumed.records.get('a/psnr')
    assert (found and tuple(found[-1].values())) == best
    assert resumed.iteration == until
    resumed.add(Result('a', [{'name': 'x', 'psnr': 28.0}]), 400, None)
    resumed.read(400)
    assert tuple(resumed.records['a/psnr'][-1].values()) == (best or (28.0, 400))


def test_files_that_hold_the_best_only_are_read(history, tmp_path):
    best = {'a/psnr': {'value': 31.0, 'iteration': 200}}
    (tmp_path / 'best.json').write_text(json.dumps({'iteration': 300, 'records': best}))
    resumed = history()
    for until, found in ((300, {'a/psnr': [best['a/psnr']]}), (100, {})):
        resumed.read(until)
        assert resumed.records == found


@pytest.mark.parametrize('lost', ['best.json', 'guard.json'])
def test_a_validation_that_one_file_lacks_is_due_again(lost, tmp_path):
    metrics = [
        build_metric(n, {'type': f'calculate_{n}', 'crop_border': 0}) for n in ('psnr', 'ssim')
    ]
    guard = GuardOptions(optimised='ssim', held_out=['psnr'])
    options = ValOptions(val_freq=100, guard=guard)
    made = [ValidationHistory(options, metrics, ['a'], tmp_path, Process()) for _ in range(2)]
    rows = [{'name': str(i), 'psnr': 30.0 + i, 'ssim': 0.8 + i / 20} for i in range(3)]
    for iteration in (0, 100):
        made[0].add(Result('a', rows), iteration, None)
    assert not made[0].is_due(100, 1000)
    (tmp_path / lost).unlink()
    made[1].read(100)
    assert made[1].is_due(100, 1000)
