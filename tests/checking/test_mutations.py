"""A mistake in an option file is refused by the name of the option, or accepted for a reason.

Each mistake goes through all of ``--check``: the options, the data, and the first step.
"""

import copy
import re

import pytest
import torch
import yaml
from checking.mutations import Mutation, mutations

from iqasr.checking.dialects.families import MOVED_IN_DATASETS
from iqasr.training.commands import train_command

RANKER = {'type': 'RankerScorer'}


def adversarial(candidate_options: dict) -> dict:
    """A GAN run with candidates, chosen online."""
    options = candidate_options
    options['datasets']['train'] |= {
        'gt_size': 64,
        'use_hflip': True,
        'use_rot': True,
        'num_worker_per_gpu': 0,
        'sampling': {'type': 'ArgmaxSampler', 'candidates': 'all'},
        'quality': {'scorer': dict(RANKER)},
    }
    options['train'] |= {
        'scheduler': {'type': 'MultiStepLR', 'milestones': [2, 4], 'gamma': 0.5},
        'net_d_iters': 1,
        'net_d_init_iters': 0,
        'warmup_iter': -1,
        'clip_grad_norm': 1.0,
    }
    return options


def fine_tuning(paired_options: dict) -> dict:
    """Adapters that learn to raise a score, with validation and guard."""
    options = paired_options
    options['datasets']['train']['gt_size'] = 64
    options['lora'] = {'rank': 2, 'alpha': 2, 'target': ['body.*']}
    options['path'] |= {
        'pretrain_network_g': f'{options["path"]["root"]}/pretrained.pth',
        'param_key_g': 'params',
    }
    options['train'] |= {
        'scheduler': {'type': 'CosineAnnealingLR', 'T_max': 6, 'eta_min': 1e-6},
        'lr_opt': {'type': 'LRConsistencyLoss', 'loss_weight': 1.0},
        'base_opt': {'type': 'BaseDistanceLoss', 'loss_weight': 1.0},
        'quality_opt': {
            'type': 'QualityLoss',
            'scorer': dict(RANKER),
            'gradient_ratio': 1.0,
            'calibrate_iter': 2,
            'warmup_iter': 2,
            'views': {'shift': 4, 'flip': True},
        },
    }
    options['val'] |= {'save_img': False, 'tile_px': 16, 'tile_overlap_px': 4}
    options['val']['metrics'] |= {
        'lr_psnr': {'type': 'calculate_lr_psnr', 'crop_border': 1},
        'ranker': {'type': 'calculate_quality', 'scorer': dict(RANKER), 'crop_border': 4},
    }
    options['val']['guard'] = {'optimised': 'ranker', 'held_out': ['psnr'], 'tolerance': 1.0}
    return options


def stock(paired_options: dict) -> dict:
    """An option file of BasicSR."""
    options = paired_options | {'model_type': 'SRModel'}
    options['datasets']['train'] |= {
        'name': 'pieces',
        'io_backend': {'type': 'disk'},
        'num_worker_per_gpu': 0,
        'dataset_enlarge_ratio': 2,
        'prefetch_mode': None,
        'use_shuffle': True,
    }
    options['network_g'] |= {'num_in_ch': 3, 'num_out_ch': 3}
    options['path'] |= {'pretrain_network_g': None, 'strict_load_g': True, 'resume_state': None}
    options['train']['scheduler'] = {
        'type': 'CosineAnnealingRestartLR',
        'periods': [3, 3],
        'restart_weights': [1, 1],
        'eta_min': 1e-7,
    }
    options['train']['pixel_opt'] |= {'loss_weight': 1.0, 'reduction': 'mean'}
    options['val']['metrics']['ssim'] = {
        'type': 'calculate_ssim',
        'crop_border': 4,
        'test_y_channel': False,
        'better': 'higher',
    }
    options['dist_params'] = {'backend': 'nccl', 'port': 29500}
    options['logger']['wandb'] = {'project': None, 'resume_id': None}
    return options


def reason_to_accept(mutation: Mutation) -> str | None:
    """Say why a file may be accepted all the same; None if it may not."""
    path, value, was = mutation.path, mutation.value, mutation.was
    if mutation.kind == 'removed':
        return 'the option has a default, or the run does without that part'
    if mutation.kind == 'number' and isinstance(was, int | float):
        return 'it is a number in the range of the option'
    if mutation.kind == 'type':
        return 'another class of that kind takes the same options'
    if value is None:
        return 'an option without a value is not given'
    if mutation.kind == 'wrong kind' and type(value) is type(was):
        return 'it is of the right kind'
    if mutation.kind == 'wrong kind' and {type(value), type(was)} <= {int, float}:
        return 'it is a number, too'
    if mutation.kind == 'section' and value == {}:
        return 'all options of the section have defaults'
    if mutation.kind == 'misspelled' and re.search(r'_opt$|^val\.metrics\.\w+$', path):
        return 'a term or a metric may have any name'
    if path.rpartition('.')[2] in MOVED_IN_DATASETS:
        return 'a tool calls it so'
    return None


def is_named(mutation: Mutation, said: str) -> bool:
    """Tell whether a message names the option, a section it is in, or how it should be spelt."""
    *sections, key = mutation.path.split('.')
    around = ['.'.join(sections[:depth]) for depth in range(1, len(sections) + 1)]
    names = [mutation.path, *(f'{name}: ' for name in (*around, key))]
    names += [str(mutation.value)] if mutation.kind in ('type', 'misspelled') else []
    names += [f'{".".join(sections)}.'] if mutation.kind == 'type' else []
    return any(name in said for name in names)


@pytest.mark.parametrize(
    ('kind', 'count'), [(adversarial, 90), (fine_tuning, 90), (stock, 140)]
)  # 320 in all
@pytest.mark.filterwarnings('ignore:This DataLoader', 'ignore:Initializing zero-element')
def test_mistakes_are_refused_by_name(kind, count, request, train, tmp_path, weights_of, capsys):
    uses_pairs = kind is not adversarial
    options = request.getfixturevalue('paired_options' if uses_pairs else 'candidate_options')
    if kind is fine_tuning:
        train(options | {'train': options['train'] | {'total_iter': 1}})
        torch.save({'params': weights_of(options, 1)}, tmp_path / 'pretrained.pth')
    options, path = kind(copy.deepcopy(options)), tmp_path / 'mutated.yml'
    outcomes, wrong = {'accepted': 0, 'refused': 0}, []
    for mutation in mutations(options, count, seed=0):
        path.write_text(yaml.safe_dump(mutation.options, sort_keys=False))
        capsys.readouterr()
        try:
            code = train_command(['-opt', str(path), '--check'])
        except Exception as error:
            wrong.append(f'{mutation}: {type(error).__name__}: {error}')
            continue
        said = capsys.readouterr().err
        outcomes['refused' if code else 'accepted'] += 1
        if (code == 0 and reason_to_accept(mutation) is None) or (
            code == 2 and not is_named(mutation, said)
        ):
            wrong.append(f'{mutation}: {code}: {said}')
        assert code in (0, 2)
    assert not wrong, '\n'.join(wrong)
    assert outcomes['refused'] > outcomes['accepted'] > 0
