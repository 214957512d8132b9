"""Runs of the whole pipeline on small real data: what a run promises to whoever starts it."""

import copy
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from filelock import FileLock
from processes import (
    resume_where_one_finds_another_checkpoint,
    run,
    run_stock_pipeline,
    run_together,
    train_until_one_cannot_read,
    train_until_one_cannot_validate,
    train_until_one_is_stopped,
)

from iqasr.data.loader import PlacedDataset
from iqasr.models import RestorationModel
from iqasr.models.export import export
from iqasr.quality import QualityScorer
from iqasr.registry import ARCH_REGISTRY, SCORER_REGISTRY, build
from iqasr.report.commands import start_command
from iqasr.runtime.weights import load_file
from iqasr.training.commands import train_command

REPOSITORY = Path(__file__).parents[2]
COMMAND = [sys.executable, str(REPOSITORY / 'iqasr/train.py'), '-opt']
ENVIRONMENT = os.environ | {'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}


def losses(log: str) -> list[str]:
    return re.findall(r'l_pixel (\S+),', log)


def log_of(options: dict) -> str:
    root = Path(options['path']['root']) / 'experiments' / options['name']
    return '\n'.join(path.read_text() for path in sorted(root.glob('train_*.log')))


def memory_of(options: dict) -> dict:
    root = Path(options['path']['root']) / 'experiments' / options['name']
    return json.loads((root / 'guard.json').read_text())


@pytest.mark.parametrize('kind', ['paired_options', 'candidate_options'])
def test_resumed_run_ends_bit_identical(kind, request, train, weights_of, same_weights):
    options = request.getfixturevalue(kind)
    options['train']['total_iter'] = 6
    assert train(options | {'name': 'whole'}) == 0
    interrupted = options | {'name': 'parts', 'train': options['train'] | {'total_iter': 3}}
    assert train(interrupted) == 0
    assert train(options | {'name': 'parts'}, '--auto_resume') == 0
    for network in ('net_g', 'net_d') if 'network_d' in options else ('net_g',):
        same_weights(
            weights_of(options | {'name': 'whole'}, 6, network),
            weights_of(options | {'name': 'parts'}, 6, network),
        )
    same_weights(
        weights_of(options | {'name': 'whole'}, 6, key='params_ema'),
        weights_of(options | {'name': 'parts'}, 6, key='params_ema'),
    )


def test_resume_does_not_replay_the_data(paired_options, train):
    """FIELD D1."""
    train(paired_options | {'train': paired_options['train'] | {'total_iter': 3}})
    first = losses(log_of(paired_options))
    train(paired_options, '--auto_resume')
    assert not set(first) & set(losses(log_of(paired_options))[3:])


@pytest.mark.parametrize('workers', [1, 2])
def test_weights_do_not_depend_on_workers(
    workers, candidate_options, train, weights_of, same_weights
):
    """FIELD D2: what is drawn is a function of the place, and fresh in every epoch."""
    runs = {}
    for count in (0, workers):
        options = candidate_options | {'name': f'workers{count}'}
        options['datasets']['train']['num_worker_per_gpu'] = count
        assert train(options) == 0
        runs[count] = weights_of(options, 6)
    same_weights(runs[0], runs[workers])


def test_accumulated_batches_equal_one_large_batch(paired_options, train, weights_of):
    large = paired_options | {'name': 'large'}
    large['datasets']['train']['batch_size_per_gpu'] = 4
    train(large)
    small = paired_options | {'name': 'small', 'train': paired_options['train'] | {'accumulate': 2}}
    small['datasets']['train']['batch_size_per_gpu'] = 2
    train(small)
    first, second = weights_of(large, 6), weights_of(small, 6)
    assert max(float((first[k] - second[k]).abs().max()) for k in first) < 1e-5


def run_on_two_processes(path: str) -> None:
    launcher = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2']
    launcher += ['--standalone', COMMAND[1]]  # on a free port, whatever else runs here
    subprocess.run([*launcher, '-opt', path, '--launcher', 'pytorch'], env=ENVIRONMENT, check=True)


def test_two_processes_equal_one_with_twice_the_batch(paired_options, write_options, weights_of):
    """FIELD D3: and both run for as many iterations as asked."""
    paired_options['datasets']['train']['batch_size_per_gpu'] = 4
    paired_options['val']['val_freq'] = 2
    paired_options['val']['metrics']['lr_psnr'] = {'type': 'calculate_lr_psnr'}
    paired_options['val']['guard'] = {'optimised': 'lr_psnr', 'held_out': ['psnr']}
    alone = paired_options | {'name': 'alone'}
    subprocess.run([*COMMAND, write_options(alone)], env=ENVIRONMENT, check=True)
    log_alone = log_of(alone)
    paired_options['datasets']['train']['batch_size_per_gpu'] = 2
    shared = paired_options | {'name': 'shared'}
    run_on_two_processes(write_options(shared))
    log_shared = log_of(shared)
    assert losses(log_alone) == losses(log_shared)
    assert len(losses(log_shared)) == 6
    first, second = weights_of(alone, 6), weights_of(shared, 6)
    assert max(float((first[k] - second[k]).abs().max()) for k in first) < 1e-5
    assert re.findall(r'psnr↑ \d+\.\d{3}', log_alone) == re.findall(r'psnr↑ \d+\.\d{3}', log_shared)
    decisions = [
        [(record['iteration'], record['alarm']) for record in guard['history']]
        for guard in (memory_of(alone), memory_of(shared))
    ]
    assert decisions[0] == decisions[1]
    assert [iteration for iteration, _ in decisions[0]] == [0, 2, 4, 6]


def test_signal_to_one_process_in_validation_stops_both(paired_options, write_options, tmp_path):
    data = paired_options['datasets']
    data['val_2'] = data['val'] | {'name': 'more'}
    words = ['-opt', write_options(paired_options), '--launcher', 'pytorch']
    run_together(train_until_one_is_stopped, words, folder=tmp_path)
    assert 'Stopped at iteration 3 of 6.' in log_of(paired_options)
    assert (tmp_path / 'experiments/tiny/training_states/3.state').is_file()


def test_grown_data_set_does_not_end_a_resumed_run(paired_options, pairs, train, tmp_path):
    """FIELD D4: the end is counted in iterations."""
    shutil.copytree(pairs, tmp_path / 'grown')
    for name in ('gt', 'lq'):
        paired_options['datasets']['train'][f'dataroot_{name}'] = str(tmp_path / 'grown' / name)
    short = paired_options | {'train': paired_options['train'] | {'total_iter': 3}}
    train(short)
    for name in ('gt', 'lq'):
        for number in range(200):
            source = tmp_path / 'grown' / name / '00.png'
            shutil.copy(source, source.with_name(f'more{number}.png'))
    assert train(paired_options, '--auto_resume') == 0
    assert 'Stopped at iteration 6 of 6.' in log_of(paired_options)


def test_final_validation_is_logged_at_the_last_iteration(paired_options, train):
    """FIELD D17."""
    paired_options['train']['total_iter'] = 5
    train(paired_options)
    found = re.findall(r'pieces @ (\d+): psnr↑ \S+ \(best', log_of(paired_options))
    assert found == ['3', '5']
    assert '-1 day' not in log_of(paired_options)


def test_best_value_survives_a_resume(paired_options, train, tmp_path):
    """FIELD D17."""
    train(paired_options | {'train': paired_options['train'] | {'total_iter': 3}})
    path = tmp_path / 'experiments/tiny/best.json'
    best = json.loads(path.read_text())
    assert best['records']['pieces/psnr']['iteration'] == 3
    best['records']['pieces/psnr'] = {'value': 99.0, 'iteration': 1}
    path.write_text(json.dumps(best))
    train(paired_options, '--auto_resume')
    assert re.search(r'pieces @ 6: psnr↑ \S+ \(best 99.0000 @ 1\)', log_of(paired_options))


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_signal_saves_and_exits_non_zero(
    number, paired_options, train, write_options, weights_of, same_weights
):
    """FIELD D9, D18."""
    paired_options['train']['total_iter'] = 4000
    paired_options['logger']['save_checkpoint_freq'] = 4000
    paired_options['datasets']['train']['num_worker_per_gpu'] = 1
    del paired_options['datasets']['val'], paired_options['val']
    process = subprocess.Popen(
        [*COMMAND, write_options(paired_options)],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for line in process.stderr:
        if 'iteration 3/' in line:
            os.killpg(process.pid, number)  # as a terminal or a scheduler does: workers, too
            break
    rest = process.stderr.read()
    assert process.wait() == 128 + number, rest
    stopped = int(re.search(r'Stopped at iteration (\d+) of 4000', rest)[1])
    paired_options['train']['total_iter'] = stopped + 2
    train(paired_options, '--auto_resume')
    train(paired_options | {'name': 'whole'})
    same_weights(
        weights_of(paired_options, stopped + 2),
        weights_of(paired_options | {'name': 'whole'}, stopped + 2),
    )


class PoisonedStep:
    """Makes the loss of chosen iterations non-finite, by number of calls."""

    def __init__(self, monkeypatch, calls):
        self.count, self.calls = 0, calls
        plain = RestorationModel.optimize_parameters

        def step(model, iteration):
            self.count += 1
            if self.count in self.calls:
                with torch.no_grad():
                    next(model.net_g.parameters()).fill_(float('nan'))
            plain(model, iteration)

        monkeypatch.setattr(RestorationModel, 'optimize_parameters', step)


def test_non_finite_loss_rolls_back_and_says_so(paired_options, train, weights_of, monkeypatch):
    PoisonedStep(monkeypatch, {5})
    assert train(paired_options) == 0
    assert 'Not finite (l_pixel, net_g.conv_first.weight, net_g.' in log_of(paired_options)
    assert 'iteration 5: back to the checkpoint at iteration 3' in log_of(paired_options)
    assert all(value.isfinite().all() for value in weights_of(paired_options, 6).values())


def test_rollbacks_are_counted_since_the_last_checkpoint(paired_options, train, monkeypatch):
    PoisonedStep(monkeypatch, {1, 2, 3, 7})  # three times before iteration 3, once after it
    assert train(paired_options) == 0


def test_lasting_non_finite_loss_stops_the_run(paired_options, train, monkeypatch, weights_of):
    PoisonedStep(monkeypatch, set(range(4, 100)))
    with pytest.raises(RuntimeError, match='4 times since the checkpoint at iteration 3'):
        train(paired_options)
    assert all(value.isfinite().all() for value in weights_of(paired_options, 3).values())


def test_earlier_run_of_the_same_name_is_kept(paired_options, train, tmp_path):
    train(paired_options)
    train(paired_options)
    kept = [path.name for path in (tmp_path / 'experiments').iterdir() if path.is_dir()]
    assert len(kept) == 2
    assert any(name.startswith('tiny_archived_') for name in kept)


def test_refused_start_leaves_an_earlier_run_in_place(paired_options, train, tmp_path):
    train(paired_options)
    for wrong in ('path:resume_state=foo.state', 'path:pretrain_network_g=no.pth'):
        assert train(paired_options, '--force_yml', wrong) == 2
    assert [path.name for path in (tmp_path / 'experiments').iterdir() if path.is_dir()] == ['tiny']
    assert (tmp_path / 'experiments/tiny/models/net_g_6.pth').is_file()


def test_a_run_does_not_start_from_weights_that_it_would_set_aside(
    paired_options, train, tmp_path, capsys
):
    """Resumed, it would not find them any more."""
    train(paired_options)
    earlier = str(tmp_path / 'experiments/tiny/models/net_g_6.pth')
    start = '--force_yml', f'path:pretrain_network_g={earlier}'
    assert train(paired_options, *start) == 2
    assert 'would be set aside. Train under another name' in ''.join(capsys.readouterr())
    assert Path(earlier).is_file()
    assert train(paired_options | {'name': 'next'}, *start) == 0
    assert f'weights of {earlier}' in log_of(paired_options | {'name': 'next'})


def test_complete_run_is_left_as_it_is(paired_options, train, tmp_path):
    train(paired_options)
    state = tmp_path / 'experiments/tiny/training_states/6.state'
    before = state.stat().st_mtime_ns
    assert train(paired_options, '--auto_resume') == 0
    assert state.stat().st_mtime_ns == before


def test_damaged_newest_checkpoint_is_passed_over(paired_options, train, tmp_path, weights_of):
    train(paired_options)
    expected = weights_of(paired_options, 6)
    newest = tmp_path / 'experiments/tiny/models/net_g_6.pth'
    newest.write_bytes(newest.read_bytes()[:1000])
    assert train(paired_options, '--auto_resume') == 0
    assert 'Checkpoint 6 is passed over' in log_of(paired_options)
    again = weights_of(paired_options, 6)
    assert all(torch.equal(expected[key], again[key]) for key in expected)


def test_trouble_with_checkpoints_has_an_exit_code_of_its_own(
    paired_options, train, tmp_path, monkeypatch, capsys
):
    def full(source, target):
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(Path, 'replace', full)
        assert train(paired_options) == 3
    assert 'No space left' in capsys.readouterr().err
    assert train(paired_options) == 0
    for state in (tmp_path / 'experiments/tiny/training_states').iterdir():
        state.write_bytes(b'')
    assert train(paired_options, '--auto_resume') == 3
    assert 'is whole' in capsys.readouterr().err


def test_checkpoint_of_other_options_is_refused(paired_options, train):
    train(paired_options)
    paired_options['network_g']['num_feat'] = 16
    paired_options['train']['total_iter'] = 9
    assert train(paired_options, '--auto_resume') == 2


def rates(log: str) -> list[str]:
    return re.findall(r'lr (\S+)\n', log)


COSINE = {'type': 'CosineAnnealingLR', 'T_max': 3}
SCHEDULES = {
    'longer': (COSINE, {'type': 'CosineAnnealingLR', 'T_max': 6}),
    'another': (COSINE, {'type': 'MultiStepLR', 'milestones': [2, 4], 'gamma': 0.5}),
    'added': (None, COSINE | {'T_max': 6}),
    'removed': (COSINE, None),
    'restarts': (
        {'type': 'OneCycleLR', 'max_lr': 0.01, 'total_steps': 9},
        {'type': 'CosineAnnealingRestartLR', 'periods': [4, 4], 'restart_weights': [1, 0.5]},
    ),
}


@pytest.mark.parametrize('kind', SCHEDULES)
def test_a_resumed_run_has_the_rates_of_its_option_file(kind, paired_options, train, weights_of):
    """As if the schedule had held from the start: what a whole run of the file logs."""
    before, after = SCHEDULES[kind]
    train_options = paired_options['train'] | {'warmup_iter': 5}
    changed = {'optim_g': {'type': 'Adam', 'lr': 2e-3}, 'scheduler': after}
    new = paired_options | {'train': train_options | changed}
    assert train(new | {'name': 'whole'}) == 0
    shorter = {'total_iter': 3, 'warmup_iter': 3, 'scheduler': before}
    old = paired_options | {'train': train_options | shorter}
    assert train(old) == 0
    assert train(new, '--auto_resume') == 0
    expected = rates(log_of(new | {'name': 'whole'}))
    assert rates(log_of(new))[3:] == expected[3:]
    assert 'its schedule as if it had held from iteration 1' in log_of(new)


@pytest.mark.parametrize(
    'change', [{'weight_decay': 0.5}, {'betas': [0.5, 0.6]}, {'eps': 0.1}, {'lr': 0.01}]
)
def test_a_resumed_run_follows_the_options_of_its_optimiser(
    change, paired_options, train, weights_of
):
    ends = []
    for name, changes in (('same', {}), ('changed', change)):
        options = copy.deepcopy(paired_options) | {'name': name}
        assert train(options | {'train': options['train'] | {'total_iter': 3}}) == 0
        options['train'] |= {'total_iter': 4}
        options['train']['optim_g'] |= changes
        assert train(options, '--auto_resume') == 0
        ends.append(weights_of(options, 4)['conv_first.weight'])
    assert not torch.equal(*ends)


REFUSED_AT_RESUME = {
    'type': ({'optim_g': {'type': 'AdamW', 'lr': 1e-3}}, 'train.optim_g: its type is another'),
    'other': ({'optim_g': {'type': 'SGD', 'lr': 1e-3}}, 'train.optim_g: its type is another'),
    'amsgrad': (
        {'optim_g': {'type': 'Adam', 'lr': 1e-3, 'amsgrad': True}},
        'train.optim_g: its amsgrad is another',
    ),
    'average': ({'ema_decay': 0.9}, 'train.ema_decay: the checkpoint has no averaged weights'),
    'gan': (
        {
            'gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla'},
            'optim_d': {'type': 'Adam', 'lr': 1e-4},
        },
        'train.gan_opt: the checkpoint has no discriminator',
    ),
    'lora': ({}, 'lora: the checkpoint has no adapters'),
}


@pytest.mark.parametrize('kind', REFUSED_AT_RESUME)
def test_what_a_checkpoint_cannot_give_is_refused_by_name(
    kind, paired_options, train, tmp_path, capsys
):
    change, reason = REFUSED_AT_RESUME[kind]
    paired_options['train'] |= {'total_iter': 3, 'ema_decay': 0}
    assert train(paired_options) == 0
    if kind == 'gan':
        network = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
        paired_options['network_d'] = network
    if kind == 'lora':
        weights = str(tmp_path / 'experiments/tiny/models/net_g_3.pth')
        paired_options |= {'lora': {'rank': 1}, 'path': {'pretrain_network_g': weights}}
        paired_options['path']['root'] = str(tmp_path)
    paired_options['train'] |= change | {'total_iter': 4}
    assert train(paired_options, '--auto_resume') == 2
    assert reason in capsys.readouterr().err


def test_options_that_a_resumed_run_keeps_are_named(paired_options, train, tmp_path):
    paired_options['train']['total_iter'] = 3
    assert train(paired_options) == 0
    paired_options['train']['total_iter'] = 4
    paired_options['manual_seed'] = 5
    shutil.copy(tmp_path / 'experiments/tiny/models/net_g_3.pth', tmp_path / 'other.pth')
    paired_options['path']['pretrain_network_g'] = str(tmp_path / 'other.pth')
    assert train(paired_options, '--auto_resume') == 0
    kept = 'but for manual_seed, path.pretrain_network_g: kept as in the checkpoint'
    assert kept in log_of(paired_options)


def test_options_that_have_not_changed_are_not_told(paired_options, train, tmp_path, monkeypatch):
    """Neither paths that are looked up, nor seed and devices that are chosen, are changes."""
    assert train(paired_options | {'name': 'base'}) == 0
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    paired_options |= {'num_gpu': 'auto', 'manual_seed': None}
    monkeypatch.chdir(tmp_path)
    paired_options['path']['pretrain_network_g'] = 'experiments/base/models/net_g_3.pth'
    options = copy.deepcopy(paired_options)
    assert train(options, '--force_yml', 'train:total_iter=3') == 0
    assert train(options, '--force_yml', 'train:total_iter=3', '--auto_resume') == 0
    assert 'have changed' not in log_of(options)
    assert train(options, '--auto_resume') == 0
    assert log_of(options).split('have changed')[1].count(' -> ') == 1
    assert '  train.total_iter: 3 -> 6\n' in log_of(options)


@pytest.fixture
def half_base(paired_options, tmp_path):
    """Weights as a file in half precision gives them, some of them -0; what has a base."""
    weights = build(ARCH_REGISTRY, paired_options['network_g']).state_dict()
    for value in weights.values():
        value.copy_(value.half())
        value.flatten()[::7] = -0.0
    paired_options['path']['pretrain_network_g'] = str(tmp_path / 'base.pth')
    torch.save({'params': weights}, tmp_path / 'base.pth')
    return weights


def test_adapters_merge_into_the_file_they_were_trained_on(
    half_base, paired_options, train, weights_of, tmp_path
):
    paired_options['lora'] = {'rank': 2, 'target': ['body.*']}
    assert train(paired_options) == 0
    adapters = [tmp_path / 'experiments/tiny/models/lora_g_6.safetensors']
    how = {'adapters': adapters, 'key': 'params'}
    torch.save({'params': {k: v.half() for k, v in half_base.items()}}, tmp_path / 'half.pth')
    for name in ('base', 'half'):
        export(tmp_path / f'{name}.pth', tmp_path / f'{name}_merged.safetensors', **how)
    merged = load_file(tmp_path / 'base_merged.safetensors')
    for key, value in weights_of(paired_options, 6, key='params_ema').items():
        assert torch.allclose(merged[key], value, atol=1e-6)


@pytest.mark.parametrize('kind', ['lora', 'copy'])
def test_a_run_goes_on_from_any_copy_of_its_base(kind, half_base, paired_options, train, tmp_path):
    if kind == 'lora':
        paired_options['lora'] = {'rank': 2, 'target': ['body.*']}
    paired_options['train']['base_opt'] = {'type': 'BaseDistanceLoss'}
    paired_options['train']['total_iter'] = 3
    assert train(paired_options) == 0
    paired_options['train']['total_iter'] = 4
    same = {key: value.half() + 0 for key, value in half_base.items()}
    torch.save({'params': same}, tmp_path / 'base.pth')
    assert train(paired_options, '--auto_resume') == 0
    other = {key: value * 1.01 for key, value in half_base.items()}
    torch.save({'params': other}, tmp_path / 'base.pth')
    paired_options['train']['total_iter'] = 5
    assert train(paired_options, '--auto_resume') == 2


def test_old_states_are_removed_when_asked(paired_options, train, tmp_path):
    paired_options['logger'] |= {'save_checkpoint_freq': 1, 'keep_checkpoints': 2}
    train(paired_options)
    folder = tmp_path / 'experiments/tiny'
    assert sorted(p.name for p in (folder / 'training_states').iterdir()) == ['5.state', '6.state']
    assert len(list((folder / 'models').iterdir())) == 8


def test_check_takes_a_step_and_writes_nothing(candidate_options, train, tmp_path):
    before = sorted(tmp_path.rglob('*'))
    assert train(candidate_options, '--check') == 0
    assert sorted(tmp_path.rglob('*')) == [*before, tmp_path / 'options.yml']


def test_wrong_input_has_its_own_exit_code(paired_options, train):
    paired_options['train']['ema_deacy'] = 0.9
    assert train(paired_options) == 2


def test_net_d_iters_and_init_iters_decide_when_the_generator_moves(
    candidate_options, train, weights_of
):
    candidate_options['train'] |= {'net_d_init_iters': 2, 'net_d_iters': 2}
    candidate_options['logger']['save_checkpoint_freq'] = 1
    train(candidate_options)
    moved = [
        not torch.equal(
            weights_of(candidate_options, i)['conv_first.weight'],
            weights_of(candidate_options, i - 1)['conv_first.weight'],
        )
        for i in range(1, 7)
    ]
    assert moved == [False, False, False, True, False, True]


def test_works_from_another_directory_and_shows_tensorboard(paired_options, tmp_path):
    paired_options['logger']['use_tb_logger'] = True
    paired_options['train']['total_iter'] = 1
    (tmp_path / 'elsewhere').mkdir()
    path = tmp_path / 'options.yml'
    path.write_text(yaml.safe_dump(paired_options))
    result = subprocess.run(
        [*COMMAND, str(path)], cwd=tmp_path / 'elsewhere', env=ENVIRONMENT, check=False
    )
    assert result.returncode == 0
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / 'tb_logger/tiny'))
    events.Reload()
    assert 'losses/l_pixel' in events.Tags()['scalars']
    assert 'pieces/00' in events.Tags()['images']


def same_as_basicsr(options: dict, folder: Path) -> dict:
    """Options under which BasicSR draws nothing at random but the initial weights."""
    listing = folder / 'meta_info.txt'
    listing.write_text('\n'.join(f'{number:02d}.png (96,96,3)' for number in range(10)))
    options['model_type'] = 'SRModel'
    options['datasets']['train'] |= {
        'name': 'pieces',
        'meta_info_file': str(listing),
        'gt_size': 96,
        'use_hflip': False,
        'use_rot': False,
        'num_worker_per_gpu': 0,
        'io_backend': {'type': 'disk'},
    }
    options['train']['scheduler'] = {
        'type': 'MultiStepLR',
        'milestones': [2, 4],
        'gamma': 0.5,
    }
    options['datasets'].pop('val')
    options.pop('val')
    return options


def test_first_losses_equal_those_of_basicsr(paired_options, train, tmp_path):
    options = same_as_basicsr(paired_options, tmp_path)
    train(options)
    ours = losses(log_of(options))
    theirs = options | {'path': {}, 'name': 'theirs'}
    path = tmp_path / 'theirs.yml'
    path.write_text(yaml.safe_dump(theirs))
    run(run_stock_pipeline, 'train', str(path), str(tmp_path), log=tmp_path / 'log')
    log = ''.join(p.read_text() for p in (tmp_path / 'experiments/theirs').glob('*.log'))
    expected = [f'{float(value):.3e}' for value in re.findall(r'l_pix: (\S+)', log)]
    assert len(expected) == 6
    assert ours == expected


BAD_IMAGES = {
    'truncated': lambda image, path: path.write_bytes(
        cv2.imencode('.png', image)[1].tobytes()[:2000]
    ),
    '16-bit': lambda image, path: cv2.imwrite(str(path), image.astype(np.uint16) * 257),
    'alpha': lambda image, path: cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)),
    'grey': lambda image, path: cv2.imwrite(str(path), image[..., 0]),
    'size': lambda image, path: cv2.imwrite(str(path), image[:-4]),
}


@pytest.mark.parametrize('kind', BAD_IMAGES)
@pytest.mark.parametrize('layout', ['pairs', 'candidates'])
def test_unsuitable_image_is_named_before_training(kind, layout, request, tmp_path, train, capsys):
    pairs = layout == 'pairs'
    options = request.getfixturevalue('paired_options' if pairs else 'candidate_options')
    folder = tmp_path / 'data'
    shutil.copytree(request.getfixturevalue(layout), folder)
    bad = folder / ('gt/03.png' if pairs else '01/03_01.png')
    BAD_IMAGES[kind](cv2.imread(str(bad)), bad)
    data = options['datasets']['train']
    if pairs:
        data |= {'dataroot_gt': str(folder / 'gt'), 'dataroot_lq': str(folder / 'lq')}
    else:
        data['dataroot_gt'] = str(folder)
    assert train(options) == 2
    assert bad.name in capsys.readouterr().err
    assert not (tmp_path / 'experiments/tiny/models').exists()


def test_full_disk_leaves_the_previous_checkpoint(paired_options, write_options, tmp_path):
    disk = tmp_path / 'disk'
    disk.mkdir()
    mounted = subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip('needs the right to mount a tmpfs')
    try:
        paired_options['path']['root'] = str(disk)
        paired_options['logger']['save_checkpoint_freq'] = 1
        paired_options['train']['total_iter'] = 200
        log = tmp_path / 'log'
        process = start_command('train', ['-opt', write_options(paired_options)], log)
        process.join()
        assert process.exitcode == 3
        assert 'cannot be saved' in log.read_text()
        states = disk / 'experiments/tiny/training_states'
        newest = max(states.glob('*.state'), key=lambda path: int(path.stem))
        state = torch.load(newest, weights_only=True)
        torch.load(disk / f'experiments/tiny/models/net_g_{state["iter"]}.pth', weights_only=True)
        assert not list(disk.rglob('*.partial'))
    finally:
        time.sleep(0.2)
        subprocess.run(['umount', str(disk)], check=False)


def test_run_killed_at_random_ends_bit_identical(candidates, tmp_path):
    """FIELD D18; `python tests/kill_and_resume.py` kills more often."""
    from kill_and_resume import kill_and_resume, options_on

    options = options_on(str(candidates), iterations=16, workers=2)
    said = []
    assert kill_and_resume(options, kills=3, folder=tmp_path, say=said.append)
    assert int(said[-1].split()[0]) >= 2


def test_validation_missed_by_a_kill_is_made_up_for(paired_options, train, tmp_path):
    train(paired_options | {'train': paired_options['train'] | {'total_iter': 3}})
    (tmp_path / 'experiments/tiny/best.json').unlink()
    train(paired_options, '--auto_resume')
    assert re.findall(r'pieces @ (\d+): psnr', log_of(paired_options)) == ['3', '3', '6']


def test_failing_run_with_workers_ends(paired_options, write_options):
    """Workers ignore the signal by which the interpreter ends them; the run must."""
    paired_options['datasets']['train']['num_worker_per_gpu'] = 2
    code = (
        'import iqasr.evaluation.evaluate as v, iqasr.training.commands as p, sys\n'
        'def fail(*a, **k): raise KeyError("planned")\n'
        'v.measure = fail\n'
        f'sys.exit(p.train_command(["-opt", {write_options(paired_options)!r}]))'
    )
    result = subprocess.run(
        [sys.executable, '-c', code],
        env=ENVIRONMENT,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 1
    assert 'planned' in result.stderr


def test_image_that_breaks_costs_no_iteration(
    paired_options, train, monkeypatch, capsys, weights_of, same_weights
):
    def fail(data, position, index):
        if position == 9:
            raise AttributeError("'NoneType' object has no attribute 'astype'")
        return plain(data, position, index)

    plain = PlacedDataset.draw
    with monkeypatch.context() as patch:
        patch.setattr(PlacedDataset, 'draw', fail)
        assert train(paired_options) == 2
    assert 'PairedImageDataset, item ' in capsys.readouterr().err
    assert 'Checkpoint at iteration 4 saved' in log_of(paired_options)
    assert train(paired_options, '--auto_resume') == 0
    assert train(paired_options | {'name': 'whole'}) == 0
    same_weights(weights_of(paired_options, 6), weights_of(paired_options | {'name': 'whole'}, 6))


def test_validation_that_fails_costs_no_iteration(paired_options, train, monkeypatch):
    def fail(model, loader, iteration, *others):
        if iteration == 3:
            raise torch.OutOfMemoryError
        return plain(model, loader, iteration, *others)

    plain = RestorationModel.validation
    paired_options['val']['val_freq'] = 3
    monkeypatch.setattr(RestorationModel, 'validation', fail)
    with pytest.raises(torch.OutOfMemoryError):
        train(paired_options)
    assert 'Checkpoint at iteration 3 saved' in log_of(paired_options)
    monkeypatch.setattr(RestorationModel, 'validation', plain)
    assert train(paired_options, '--auto_resume') == 0
    assert ' @ 3: ' in log_of(paired_options)  # validated after all


def test_image_that_breaks_in_one_process_costs_no_iteration(
    paired_options, write_options, tmp_path
):
    words = ['-opt', write_options(paired_options), '--launcher', 'pytorch']
    run_together(train_until_one_cannot_read, words, folder=tmp_path)
    assert (tmp_path / 'experiments/tiny/training_states/4.state').is_file()
    said = (tmp_path / 'process1.log').read_text()
    assert 'cannot be read (ValueError: damaged)' in said


def test_validation_that_fails_in_one_process_costs_no_iteration(
    paired_options, write_options, tmp_path
):
    data = paired_options['datasets']
    data['val_2'] = data['val'] | {'name': 'more'}
    words = ['-opt', write_options(paired_options), '--launcher', 'pytorch']
    run_together(train_until_one_cannot_validate, words, folder=tmp_path)
    assert (tmp_path / 'experiments/tiny/training_states/3.state').is_file()
    assert '3.png: cut short.' in (tmp_path / 'process1.log').read_text()
    other = (tmp_path / 'process0.log').read_text()
    assert 'Another process cannot validate on pieces; it says why.' in other


def test_processes_that_find_different_checkpoints_do_not_start(
    paired_options, write_options, train, tmp_path
):
    """Else their weights would differ from then on, and one would wait for the other."""
    assert train(paired_options) == 0
    words = ['-opt', write_options(paired_options), '--launcher', 'pytorch']
    run_together(resume_where_one_finds_another_checkpoint, words, folder=tmp_path)
    said = (tmp_path / 'process0.log').read_text()
    states = tmp_path / 'experiments/tiny/training_states'
    listed = f'process 0: {states}/6.state, process 1: {states}/3.state'
    assert f'different checkpoints to continue from ({listed}). path.root must be' in said


def test_auto_resume_begins_from_the_named_state_where_it_finds_none(
    paired_options, train, tmp_path, weights_of, same_weights
):
    """As in BasicSR; later, its own checkpoints come first."""
    paired_options['logger']['save_checkpoint_freq'] = 3
    train(paired_options)
    state = tmp_path / 'experiments/tiny/training_states/3.state'
    other = copy.deepcopy(paired_options) | {'name': 'other'}
    other['path']['resume_state'] = str(state)
    assert train(other, '--auto_resume') == 0
    assert ', 6 iterations from 3 on' in log_of(other)
    same_weights(weights_of(paired_options, 6), weights_of(other, 6))
    state.unlink()
    assert train(other, '--auto_resume') == 0
    assert ', 6 iterations from 6 on' in log_of(other)


def test_signal_in_the_last_validation_does_not_pass_for_the_end(
    paired_options, train, monkeypatch
):
    def restore(model, lq):
        if model.position:
            signal.raise_signal(signal.SIGTERM)
        return plain(model, lq)

    plain = RestorationModel.restore
    paired_options['val']['val_freq'] = 6
    with monkeypatch.context() as patch:
        patch.setattr(RestorationModel, 'restore', restore)
        assert train(paired_options) == 128 + signal.SIGTERM
    assert ' @ 6: ' not in log_of(paired_options)
    assert train(paired_options, '--auto_resume') == 0
    assert ' @ 6: ' in log_of(paired_options)


@pytest.mark.parametrize(
    'content',
    [
        *('', '[1]', '{"iteration": 3}', '{"iteration": "x", "records": {}}'),
        *('{"iteration": 3, "records": []}', '{"iteration": 3, "records": {"pieces/psnr": {}}}'),
    ],
)
def test_damaged_record_of_a_run_is_named(content, paired_options, train, tmp_path, capsys):
    train(paired_options)
    record = tmp_path / 'experiments/tiny/best.json'
    record.write_text(content)
    assert train(paired_options, '--auto_resume') == 3
    said = ''.join(capsys.readouterr())
    assert str(record) in said
    assert 'remove it, and its record begins anew' in said
    record.unlink()
    assert train(paired_options, '--auto_resume') == 0


def test_validation_images_of_two_sets_do_not_meet(paired_options, train, pairs, tmp_path):
    data = paired_options['datasets']
    data['val_2'] = data['val'] | {'name': 'swapped', 'dataroot_lq': str(pairs / 'gt')}
    data['val_2'] |= {'dataroot_gt': str(tmp_path / 'large')}
    (tmp_path / 'large').mkdir()
    for path in (pairs / 'gt').iterdir():
        large = cv2.resize(cv2.imread(str(path)), (384, 384))
        cv2.imwrite(str(tmp_path / 'large' / path.name), large)
    paired_options['val']['save_img'] = True
    assert train(paired_options) == 0
    shown = tmp_path / 'experiments/tiny/visualization'
    for name, side in (('pieces', 96), ('swapped', 384)):
        assert cv2.imread(str(shown / name / '03/03_6.png')).shape == (side, side, 3)


def test_metric_without_value_does_not_end_a_run(paired_options, train):
    paired_options['val']['metrics']['niqe'] = {'type': 'calculate_niqe', 'crop_border': 4}
    paired_options['val']['val_freq'] = 6
    assert train(paired_options) == 0
    assert 'pieces: niqe has no value for 10 images (00, 01, ' in log_of(paired_options)
    assert log_of(paired_options).count('has no value for') == 1


def test_metrics_without_ground_truth_are_left_out_of_the_log(paired_options, train, pairs):
    inputs = {'type': 'SingleImageDataset', 'name': 'inputs', 'dataroot_lq': str(pairs / 'lq')}
    paired_options['datasets']['val'] = inputs
    paired_options['train']['total_iter'] = 3
    assert train(paired_options) == 0
    assert 'inputs @ 3: no metric has a value' in log_of(paired_options)
    paired_options['val']['metrics']['detail'] = {'type': 'calculate_high_frequency'}
    assert train(paired_options) == 0
    assert 'inputs @ 3: detail' in log_of(paired_options)
    assert 'nan' not in log_of(paired_options)


def test_signals_that_a_launcher_repeats_do_not_lose_the_iteration(paired_options, write_options):
    paired_options['train']['total_iter'] = 4000
    paired_options['logger']['save_checkpoint_freq'] = 4000
    del paired_options['datasets']['val'], paired_options['val']
    process = subprocess.Popen(
        [*COMMAND, write_options(paired_options)],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if 'iteration 3/' in line:
            for _ in range(5):
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGINT)
                time.sleep(0.01)
            break
    rest = process.stderr.read()
    assert process.wait() != 0
    assert 'Stopped at iteration' in rest


def test_resuming_an_earlier_state_takes_a_course_of_its_own(paired_options, train, tmp_path):
    paired_options['logger'] |= {'save_checkpoint_freq': 1, 'keep_checkpoints': 3}
    train(paired_options)
    states = tmp_path / 'experiments/tiny/training_states'
    paired_options['path']['resume_state'] = str(states / '4.state')
    paired_options['train']['total_iter'] = 5
    assert train(paired_options) == 0
    assert sorted(p.name for p in states.glob('*.state')) == ['4.state', '5.state']
    assert sorted(p.name for p in states.glob('abandoned_*/*')) == ['5.state', '6.state']
    assert 'total_iter: 6' in log_of(paired_options)  # what has changed is said


def test_rollback_returns_to_the_checkpoint_of_this_run(paired_options, train, monkeypatch):
    """A run that continues another one's state has none of its own before it saves one."""
    train(paired_options)
    root = Path(paired_options['path']['root'])
    state = root / 'experiments/tiny/training_states/3.state'
    other = paired_options | {
        'name': 'other',
        'path': {'root': str(root), 'resume_state': str(state)},
    }
    PoisonedStep(monkeypatch, {2})
    assert train(other) == 0
    assert 'iteration 5: back to the checkpoint at iteration 3' in log_of(other)


def test_second_process_of_the_same_name_is_refused(paired_options, train, tmp_path):
    (tmp_path / 'experiments').mkdir()
    with FileLock(tmp_path / 'experiments/.tiny.lock'):
        assert train(paired_options) == 2
    assert train(paired_options) == 0


def test_finished_run_without_latest_networks_writes_them(paired_options, train, tmp_path):
    train(paired_options)
    latest = tmp_path / 'experiments/tiny/models/net_g_latest.pth'
    latest.unlink()
    assert train(paired_options, '--auto_resume') == 0
    assert latest.is_file()


def test_resume_with_another_optimiser_is_refused(paired_options, train):
    train(paired_options)
    paired_options['train'] |= {'total_iter': 9, 'optim_g': {'type': 'SGD', 'lr': 0.1}}
    assert train(paired_options, '--auto_resume') == 2


def test_resume_with_another_batch_starts_the_pool_anew(candidate_options, train):
    train(candidate_options | {'train': candidate_options['train'] | {'total_iter': 3}})
    candidate_options['datasets']['train']['batch_size_per_gpu'] = 1
    assert train(candidate_options, '--auto_resume') == 0
    assert 'pair pool starts empty' in log_of(candidate_options)


def test_local_rank_of_the_old_launcher_is_accepted(paired_options, train):
    """FIELD D14."""
    assert train(paired_options, '--local-rank=0', '--check') == 0


REFUSED_AT_START = {
    'launcher': ({}, ('--launcher', 'pytorch'), 'start with `torchrun'),
    'state': ({'path:resume_state': 'foo.pth'}, (), 'foo.pth is no file <iteration>.state'),
    'root': ({'path:root': '/dev/null'}, (), '/dev/null'),
    'scale': ({'network_g:upscale': 2}, (), 'enlarges 2 times, but scale is 4'),
    'folder': ({'datasets:train:dataroot_gt': '/nowhere'}, (), '/nowhere'),
    'weights': ({'path:pretrain_network_g': 'no.pth'}, (), 'no.pth: there is no such file'),
    'its option': ({'path:pretrain_network_g': 'no.pth'}, (), 'path.pretrain_network_g: '),
    'crop': ({'datasets:train:gt_size': 30}, (), 'gt_size: is 30; use a multiple of scale, 4'),
    'no crop': ({'datasets:train:gt_size': '~'}, (), 'gt_size: is required and missing.'),
    'schedule': (
        {'train:scheduler': '{type: MultiStepLR, milestones: 5}'},
        (),
        'MultiStepRestartLR cannot be built from its options',
    ),
    'rate': (
        {'train:optim_g:lr': -1},
        (),
        'Adam cannot be built from its options (ValueError: Invalid',
    ),
    'name': ({'name': 'a/b'}, (), "name: use letters, digits and . + - _ only, not 'a/b'"),
    'list': ({'datasets:train:meta_info_file': 'no.txt'}, (), 'no.txt: cannot be read as a list'),
}


@pytest.mark.parametrize('kind', REFUSED_AT_START)
def test_what_cannot_start_says_why(kind, paired_options, train, capsys, tmp_path):
    changes, flags, message = REFUSED_AT_START[kind]
    overrides = [f'{path}={value}' for path, value in changes.items()]
    assert train(paired_options, *flags, '--force_yml', 'logger:print_freq=2', *overrides) == 2
    error = capsys.readouterr().err
    assert message in error
    assert 'Traceback' not in error


ONLINE_REFUSALS = {
    'small crop': ({'type': 'NIQEScorer'}, '32 px are too few for niqe, which needs 192'),
    'no weights': (
        {'type': 'PyIQAScorer', 'metric': 'musiq', 'weights': 'no/musiq.pth'},
        'no/musiq.pth',
    ),
    'no metric': ({'type': 'PyIQAScorer', 'metric': 'musik'}, "Did you mean 'musiq'"),
}


@pytest.mark.parametrize('kind', ONLINE_REFUSALS)
def test_scorer_that_cannot_work_is_refused_before_training(kind, candidate_options, train, capsys):
    scorer, message = ONLINE_REFUSALS[kind]
    candidate_options['datasets']['train'] |= {
        'sampling': {'type': 'ArgmaxSampler'},
        'quality': {'scorer': scorer},
    }
    assert train(candidate_options) == 2
    assert message in capsys.readouterr().err


def test_missing_table_says_how_to_make_it(candidate_options, train, capsys):
    candidate_options['datasets']['train'] |= {
        'sampling': {'type': 'ArgmaxSampler'},
        'quality': {'table': 'no/quality.csv'},
    }
    assert train(candidate_options) == 2
    assert 'scripts/score_candidates.py' in capsys.readouterr().err


@pytest.fixture
def lora_options(paired_options, train, weights_of, tmp_path):
    """Options that adapt a network trained before."""
    train(paired_options | {'name': 'base'})
    base = tmp_path / 'experiments/base/models/net_g_6.pth'
    paired_options['path'] |= {'pretrain_network_g': str(base), 'param_key_g': 'params'}
    paired_options['lora'] = {'rank': 2, 'target': ['body.*', 'upconv*']}
    return paired_options


def test_adapters_train_and_are_saved_merged_and_alone(lora_options, train, weights_of, tmp_path):
    from safetensors.torch import load_file

    assert train(lora_options) == 0
    base, tuned = weights_of(lora_options | {'name': 'base'}, 6), weights_of(lora_options, 6)
    changed = {key for key in base if not torch.equal(base[key], tuned[key])}
    assert changed == {k for k in base if k.startswith(('body', 'upconv')) and k.endswith('weight')}
    adapters = load_file(tmp_path / 'experiments/tiny/models/lora_g_6.safetensors')
    averaged = weights_of(lora_options, 6, key='params_ema')
    a, b = (adapters[f'upconv1.lora_{x}'] for x in 'ab')
    correction = 8 / 2 * (b @ a).reshape(base['upconv1.weight'].shape)
    assert torch.allclose(
        averaged['upconv1.weight'], base['upconv1.weight'] + correction, atol=1e-6
    )


def test_adapted_run_resumes_bit_identical(lora_options, train, weights_of, same_weights):
    train(lora_options | {'name': 'whole'})
    train(lora_options | {'name': 'parts', 'train': lora_options['train'] | {'total_iter': 3}})
    assert train(lora_options | {'name': 'parts'}, '--auto_resume') == 0
    for key in ('params', 'params_ema'):
        same_weights(
            weights_of(lora_options | {'name': 'whole'}, 6, key=key),
            weights_of(lora_options | {'name': 'parts'}, 6, key=key),
        )


@pytest.fixture(params=['full', 'lora'])
def anchored_options(request, lora_options):
    """Options that keep near the base, in which the base has a part in every step."""
    lora_options['train']['base_opt'] = {'type': 'BaseDistanceLoss', 'distance': 'l2'}
    if request.param == 'full':
        del lora_options['lora']
    return lora_options


def test_anchored_run_resumes_bit_identical(anchored_options, train, weights_of, same_weights):
    whole, parts = (anchored_options | {'name': name} for name in ('whole', 'parts'))
    train(whole)
    train(parts | {'train': parts['train'] | {'total_iter': 3}})
    assert train(parts, '--auto_resume') == 0
    same_weights(weights_of(whole, 6), weights_of(parts, 6))
    distances = [re.findall(r'l_base (\S+),', log_of(options)) for options in (whole, parts)]
    assert distances[0] == distances[1]
    assert float(distances[0][0]) == 0 < float(distances[0][-1])


def test_anchored_run_on_two_processes_equals_one_with_twice_the_batch(
    anchored_options, train, write_options, weights_of, tmp_path
):
    del anchored_options['datasets']['val'], anchored_options['val']
    alone, shared = (copy.deepcopy(anchored_options) | {'name': name} for name in 'ab')
    alone['datasets']['train']['batch_size_per_gpu'] = 4
    shared['train']['accumulate'] = 2
    shared['datasets']['train']['batch_size_per_gpu'] = 1
    train(alone)
    words = ['-opt', write_options(shared), '--launcher', 'pytorch']
    run_together(train_command, words, folder=tmp_path)
    logged = [re.findall(r'l_base (\S+),', log_of(options)) for options in (alone, shared)]
    assert np.allclose(*np.array(logged, float), rtol=2e-3)
    first, second = weights_of(alone, 6), weights_of(shared, 6)
    assert max(float((first[k] - second[k]).abs().max()) for k in first) < 1e-5


def test_anchored_run_does_not_resume_on_another_base(anchored_options, train, tmp_path, capsys):
    train(anchored_options | {'train': anchored_options['train'] | {'total_iter': 3}})
    other = tmp_path / 'experiments/base/models/net_g_3.pth'
    anchored_options['path']['pretrain_network_g'] = str(other)
    assert train(anchored_options, '--auto_resume') == 2
    assert 'another path.pretrain_network_g' in capsys.readouterr().err


def test_adapted_run_does_not_resume_on_another_base(lora_options, train, tmp_path, capsys):
    train(lora_options | {'train': lora_options['train'] | {'total_iter': 3}})
    other = tmp_path / 'experiments/base/models/net_g_3.pth'
    lora_options['path']['pretrain_network_g'] = str(other)
    assert train(lora_options, '--auto_resume') == 2
    assert 'another path.pretrain_network_g' in capsys.readouterr().err


def test_pattern_that_matches_no_layer_is_refused(lora_options, train, capsys):
    lora_options['lora']['target'] = ['bdoy.*']
    assert train(lora_options) == 2
    assert 'bdoy' in capsys.readouterr().err


@SCORER_REGISTRY.register()
class ContrastScorer(QualityScorer):
    """Mean distance to mid-grey: differentiable, and easily gamed."""

    name, version, score_range, differentiable = 'contrast', '1', (0.0, 0.5), True

    def _score(self, image, reference=None):
        return (image - 0.5).abs().mean((1, 2, 3))


@pytest.fixture
def tuning_options(lora_options):
    """Options that fine-tune adapters towards a quality score, its weight calibrated."""
    lora_options['train']['quality_opt'] = {
        'type': 'QualityLoss',
        'scorer': {'type': 'ContrastScorer'},
        'gradient_ratio': 0.5,
        'calibrate_iter': 4,
        'warmup_iter': 2,
        'views': {'count': 2, 'crop': 24, 'flip': True},
    }
    return lora_options


@pytest.mark.parametrize(('first', 'every'), [(4, 0), (1, 2)])
def test_fine_tuning_resumes_bit_identical_in_the_middle_of_calibration(
    first, every, tuning_options, train, weights_of, same_weights
):
    how = {'calibrate_iter': first, 'calibrate_every': every}
    tuning_options['train']['quality_opt'] |= how
    tuning_options['train']['pixel_opt'] = {'type': 'MSELoss'}  # whose gradient has a size
    train(tuning_options | {'name': 'whole'})
    train(tuning_options | {'name': 'parts', 'train': tuning_options['train'] | {'total_iter': 3}})
    assert train(tuning_options | {'name': 'parts'}, '--auto_resume') == 0
    for key in ('params', 'params_ema'):
        same_weights(
            weights_of(tuning_options | {'name': 'whole'}, 6, key=key),
            weights_of(tuning_options | {'name': 'parts'}, 6, key=key),
        )
    weights = re.findall(r'w_quality (\S+),', log_of(tuning_options | {'name': 'whole'}))
    if every:  # it stays until it is measured again
        assert weights[1] == weights[2] != weights[3] == weights[4] != weights[5]
    else:  # it stays once it is found
        assert weights[-1] == weights[-2] != weights[0]


def test_fine_tuning_raises_the_quality_it_optimises(tuning_options, train):
    tuning_options['train'] |= {'total_iter': 60, 'optim_g': {'type': 'Adam', 'lr': 3e-3}}
    tuning_options['train']['quality_opt'] |= {'loss_weight': 1.0}
    del tuning_options['train']['quality_opt']['gradient_ratio']
    del tuning_options['train']['pixel_opt']
    assert train(tuning_options) == 0
    qualities = [float(q) for q in re.findall(r'q_quality (\S+),', log_of(tuning_options))]
    assert np.mean(qualities[-10:]) > np.mean(qualities[:10]) + 0.05


def test_objective_needs_a_scorer_with_a_gradient(tuning_options, train, capsys):
    tuning_options['train']['quality_opt']['scorer'] = {'type': 'NIQEScorer'}
    assert train(tuning_options) == 2
    assert 'niqe' in capsys.readouterr().err


@pytest.fixture
def losing_options(paired_options, pairs, tmp_path):
    """Options in which a term that wants mid-grey wins against the score of contrast."""
    grey = tmp_path / 'grey'
    grey.mkdir()
    for path in (pairs / 'gt').iterdir():
        cv2.imwrite(str(grey / path.name), np.full((96, 96, 3), 128, np.uint8))
    del paired_options['datasets']['val'], paired_options['val']
    paired_options['datasets']['train']['dataroot_gt'] = str(grey)
    paired_options['train'] |= {
        'total_iter': 60,
        'optim_g': {'type': 'Adam', 'lr': 1e-2},
        'quality_opt': {
            'type': 'QualityLoss',
            'scorer': {'type': 'ContrastScorer'},
            'loss_weight': 0.01,
        },
    }
    paired_options['logger'] |= {'print_freq': 10, 'save_checkpoint_freq': 33}
    return paired_options


def test_score_that_falls_is_told_also_by_a_resumed_run(losing_options, train):
    whole, parts = (losing_options | {'name': name} for name in ('whole', 'parts'))
    assert train(whole) == 0
    assert train(parts | {'train': parts['train'] | {'total_iter': 33}}) == 0
    assert train(parts, '--auto_resume') == 0
    told = [re.findall(r'WARNING: (q_quality has .*)', log_of(o)) for o in (whole, parts)]
    assert told[0] == told[1]
    assert len(told[0]) == 1
    start, now = (float(re.search(p, told[0][0])[1]) for p in (r'after (\S+)', r'fallen: (\S+),'))
    assert now < start - 0.02


def test_state_without_a_watch_goes_on(tuning_options, train, tmp_path):
    """States of 0.1 and 0.2 hold the measurements of a frozen weight, and no watched score."""
    tuning_options['train']['quality_opt'] |= {'calibrate_iter': 2, 'calibrate_every': 4}
    train(tuning_options | {'train': tuning_options['train'] | {'total_iter': 3}})
    path = tmp_path / 'experiments/tiny/training_states/3.state'
    state = torch.load(path, weights_only=True)
    assert len(state['calibration']['quality']) == 2
    assert len(state.pop('watched')['q_quality']['start']) == 3
    torch.save(state, path)
    assert train(tuning_options, '--auto_resume') == 0
    state = torch.load(path.with_name('6.state'), weights_only=True)
    assert len(state['calibration']['quality']) == 3
    assert len(state['watched']['q_quality']['start']) == 3
