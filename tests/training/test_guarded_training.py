"""Runs with a guard: early stop, best checkpoint, resume."""

import json
import re
import shutil

import pytest

from iqasr.models import RestorationModel
from iqasr.quality import QualityScorer
from iqasr.registry import SCORER_REGISTRY


@SCORER_REGISTRY.register()
class GlareScorer(QualityScorer):
    """Mean distance to mid-grey: differentiable, and easily gamed."""

    name, version, score_range, differentiable = 'glare', '1', (0.0, 0.5), True

    def _score(self, image, reference=None):
        return (image - 0.5).abs().mean((1, 2, 3))


@pytest.fixture
def guarded_options(paired_options, train, tmp_path):
    """Options that fine-tune a network towards glare alone, guarded by PSNR."""
    assert train(paired_options | {'name': 'base'}) == 0
    base = tmp_path / 'experiments/base/models/net_g_6.pth'
    paired_options['path'] |= {'pretrain_network_g': str(base)}
    paired_options['train'] |= {'total_iter': 12, 'ema_decay': 0.5}
    del paired_options['train']['pixel_opt']
    paired_options['train']['quality_opt'] = {
        'type': 'QualityLoss',
        'scorer': {'type': 'GlareScorer'},
        'loss_weight': 1.0,
    }
    paired_options['logger']['save_checkpoint_freq'] = 4
    paired_options['val'] = {
        'val_freq': 2,
        'metrics': {
            'glare': {'type': 'QualityMetric', 'scorer': {'type': 'GlareScorer'}},
            'psnr': {'type': 'calculate_psnr', 'crop_border': 4},
            'lr_psnr': {'type': 'calculate_lr_psnr'},
            'high_frequency': {'type': 'calculate_high_frequency'},
            'base_distance': {'type': 'calculate_base_distance'},
            'worst': {'type': 'WorstTile', 'scorer': {'type': 'GlareScorer'}, 'tile_px': 32},
        },
        'guard': {'optimised': 'glare', 'held_out': ['psnr', 'lr_psnr'], 'patience': 3},
    }
    return paired_options


@pytest.fixture
def folder(tmp_path):
    return tmp_path / 'experiments/tiny'


def memory(folder):
    return json.loads((folder / 'guard.json').read_text())


def log_of(folder):
    return '\n'.join(path.read_text() for path in sorted(folder.glob('train_*.log')))


def test_gaming_ends_the_run_and_a_resume_does_not_go_on(guarded_options, train, folder):
    assert train(guarded_options) == 0
    history = memory(folder)['history']
    assert history[0]['changes']['glare']['gain'] == 0
    alarms = [record['alarm'] for record in history]
    assert alarms[-3:] == [True] * 3
    stop = history[-1]['iteration']
    assert stop < 12
    log = log_of(folder)
    assert f'The guard has ended the run at iteration {stop}, after 3 alarms' in log
    assert f'Stopped at iteration {stop} of 12.' in log
    before = {path: path.read_bytes() for path in folder.rglob('*.*') if path.suffix != '.log'}
    assert train(guarded_options, '--auto_resume') == 0
    assert log_of(folder).count('The guard has ended the run') == 2
    after = {path: path.read_bytes() for path in folder.rglob('*.*') if path.suffix != '.log'}
    assert after == before


def test_stopped_run_goes_on_with_more_patience(guarded_options, train, folder, weights_of):
    train(guarded_options)
    stop = memory(folder)['history'][-1]['iteration']
    del guarded_options['val']['guard']['patience']
    assert train(guarded_options, '--auto_resume') == 0
    assert memory(folder)['history'][-1]['iteration'] == 12 > stop
    latest, last = (weights_of(guarded_options, name) for name in ('latest', 12))
    assert all((latest[key] == last[key]).all() for key in last)


def honest(options):
    """Train towards the ground truth instead."""
    del options['train']['quality_opt']
    options['train']['pixel_opt'] = {'type': 'L1Loss'}
    options['train']['optim_g']['lr'] = 3e-3
    options['val']['guard']['held_out'] = ['psnr']
    return options


def test_honest_training_is_left_alone(guarded_options, train, folder):
    options = honest(guarded_options)
    options['train']['total_iter'] = options['val']['val_freq'] = 60
    assert train(options) == 0
    history = memory(folder)['history']
    assert [record['iteration'] for record in history] == [0, 60]
    assert not any(record['alarm'] for record in history)
    assert memory(folder)['best']['index'] > 0


def test_best_checkpoint_is_that_of_the_best_validation(
    guarded_options, train, folder, weights_of, same_weights
):
    guarded_options['logger']['save_checkpoint_freq'] = 1
    train(guarded_options)
    later = memory(folder)['history'][1:]
    best = max(later, key=lambda record: record['index'])
    assert memory(folder)['best'] == best
    for key in ('params', 'params_ema'):
        same_weights(
            weights_of(guarded_options, 'best', key=key),
            weights_of(guarded_options, best['iteration'], key=key),
        )
    assert 'not better than the start' in log_of(folder)


def test_weights_of_a_best_validation_are_saved_without_a_checkpoint(
    guarded_options, train, folder, weights_of, same_weights
):
    train(guarded_options)
    best = memory(folder)['best']['iteration']
    assert best == 2  # checkpoints are at multiples of 4
    same_weights(weights_of(guarded_options, 'best'), weights_of(guarded_options, best))
    assert not (folder / 'training_states/2.state').exists()


def test_adapters_of_the_best_validation_are_saved(guarded_options, train, folder):
    guarded_options['lora'] = {'rank': 2, 'target': ['body.*', 'upconv*']}
    guarded_options['train']['optim_g']['lr'] = 0.1
    train(guarded_options)
    best = memory(folder)['best']['iteration']
    names = [folder / f'models/lora_g_{name}.safetensors' for name in ('best', best)]
    assert names[0].read_bytes() == names[1].read_bytes()
    first = re.search(r'pieces @ 0: .*base_distance↓ (\S+)', log_of(folder))[1]
    last = re.findall(r'base_distance↓ (\S+)', log_of(folder))[-1]
    assert float(first) == 0 < float(last)


@pytest.mark.parametrize('iteration', [0, 4, 8])
def test_killed_run_ends_as_an_undisturbed_one(
    iteration, guarded_options, train, folder, tmp_path, same_weights, weights_of
):
    options = honest(guarded_options)
    train(options)
    whole = tmp_path / 'whole'
    shutil.copytree(folder, whole)
    for state in (folder / 'training_states').iterdir():  # as if it had been killed after it
        if int(state.stem) > iteration:
            state.unlink()
    assert train(options, '--auto_resume') == 0
    assert (folder / 'guard.json').read_text() == (whole / 'guard.json').read_text()
    values = [json.loads((place / 'best.json').read_text()) for place in (folder, whole)]
    assert values[0] == values[1]
    best = memory(folder)['best']['iteration']
    same_weights(weights_of(options, 'best'), weights_of(options, best))


def test_guard_of_a_run_killed_at_random_is_that_of_an_undisturbed_one(
    guarded_options, tmp_path, folder
):
    from kill_and_resume import kill_and_resume

    options = honest(guarded_options)
    for name in ('glare', 'worst'):  # processes of their own do not know the scorer
        del options['val']['metrics'][name]
    options['val']['metrics']['high_frequency']['better'] = 'higher'
    options['val']['guard'] |= {'optimised': 'high_frequency', 'tolerance': 0.0}
    del options['val']['guard']['patience']
    options['train']['total_iter'] = 30
    assert kill_and_resume(options, kills=2, folder=tmp_path, say=len)
    whole, killed = (memory(folder.with_name(name)) for name in ('whole', 'killed'))
    assert whole == killed


@pytest.fixture
def turning_back(guarded_options, train, folder):
    """Options of an honest run that has been best after iteration 4 and goes on from there."""
    options = honest(guarded_options)
    train(options)
    assert memory(folder)['best']['iteration'] > 4
    options['path']['resume_state'] = str(folder / 'training_states/4.state')
    return options


def test_best_checkpoint_follows_a_run_that_takes_another_course(
    turning_back, train, folder, weights_of, same_weights
):
    turning_back['train']['total_iter'] = 5
    turning_back['train']['optim_g']['lr'] = 0.0
    assert train(turning_back) == 0
    best = memory(folder)['best']['iteration']
    assert best <= 5
    same_weights(weights_of(turning_back, 'best'), weights_of(turning_back, best))


def test_best_checkpoint_of_a_later_iteration_is_replaced_on_resuming(
    turning_back, train, folder, weights_of, same_weights
):
    turning_back['train']['total_iter'] = 4
    assert train(turning_back) == 0
    earlier = [record for record in memory(folder)['history'] if 0 < record['iteration'] <= 4]
    best = max(earlier, key=lambda record: record['index'])['iteration']
    same_weights(weights_of(turning_back, 'best'), weights_of(turning_back, best))


def test_validation_lost_between_two_files_is_made_up_for(guarded_options, train, folder):
    options = honest(guarded_options)
    options['train']['total_iter'] = 4
    train(options)
    expected = memory(folder)
    content = expected | {'history': expected['history'][:-1]}
    (folder / 'guard.json').write_text(json.dumps(content))
    assert train(options, '--auto_resume') == 0
    assert memory(folder) == expected


def test_rollback_forgets_the_validations_after_the_checkpoint(
    guarded_options, train, folder, monkeypatch, weights_of, same_weights
):
    seen = []

    def is_finite(model):
        history = memory(folder)['history'] if seen else []
        seen.append([record['iteration'] for record in history])
        return len(seen) != 7

    monkeypatch.setattr(RestorationModel, 'is_finite', is_finite)
    options = honest(guarded_options)
    assert train(options) == 0
    assert 'iteration 7: back to the checkpoint at iteration 4' in log_of(folder)
    assert seen[6:8] == [[0, 2, 4, 6], [0, 2, 4, 6]]
    assert [record['iteration'] for record in memory(folder)['history']] == list(range(0, 13, 2))
    best = memory(folder)['best']['iteration']
    same_weights(weights_of(options, 'best'), weights_of(options, best))


def test_guard_added_to_a_run_starts_where_it_is(guarded_options, train, folder):
    options = honest(guarded_options)
    guard = options['val'].pop('guard')
    options['train']['total_iter'] = 3
    train(options)
    options['val']['guard'] = guard
    options['train']['total_iter'] = 6
    assert train(options, '--auto_resume') == 0
    assert [record['iteration'] for record in memory(folder)['history']] == [3, 4, 6]


def test_check_measures_with_the_base_and_writes_nothing(guarded_options, train, folder, capsys):
    assert train(guarded_options, '--check') == 0
    assert 'has no value' not in capsys.readouterr().err
    assert not folder.exists()


def test_guard_writes_to_tensorboard(guarded_options, train, tmp_path):
    guarded_options['logger']['use_tb_logger'] = True
    guarded_options['train']['total_iter'] = 2
    train(guarded_options)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / 'tb_logger/tiny'))
    events.Reload()
    assert {'guard/index', 'guard/fallen', 'guard/alarms'} <= set(events.Tags()['scalars'])
    assert 'metrics/pieces/high_frequency' in events.Tags()['scalars']
