"""BasicSR's own pipelines, unmodified, on our option files; and its builders on our classes."""

import copy
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from basicsr.data import build_dataloader
from basicsr.data import build_dataset as build_stock_dataset
from basicsr.losses import build_loss
from basicsr.metrics import calculate_metric
from processes import run, run_stock_pipeline

from iqasr.data.scores.score_table import score_candidates
from iqasr.data.stores.lmdb_store import create_lmdb
from iqasr.quality import RankerScorer
from iqasr.registry import METRIC_REGISTRY, names_in

REPOSITORY = Path(__file__).parents[1]
SMALL = {'type': 'SRVGGNetCompact', 'num_feat': 8, 'num_conv': 2, 'upscale': 4}
ITERATIONS = 6


def read(name: str) -> dict:
    return yaml.safe_load((REPOSITORY / 'options' / f'{name}.yml').read_text(encoding='utf-8'))


@pytest.fixture
def shrink(candidates, pairs, tmp_path):
    """Make a shipped training file small: other data, a small network, few iterations."""

    def change(name: str) -> dict:
        options = read(f'train/{name}')
        data = options['datasets']
        data['train'] |= {
            'dataroot_gt': str(candidates),
            'gt_size': 64,
            'margin': 16,
            'num_worker_per_gpu': 0,
            'batch_size_per_gpu': 2,
        }
        data['val'] |= {'dataroot_gt': str(pairs / 'gt'), 'dataroot_lq': str(pairs / 'lq')}
        options |= {'name': 'small', 'manual_seed': 0, 'network_g': dict(SMALL), 'num_gpu': 0}
        options['path'].pop('pretrain_network_g', None)
        options['train']['total_iter'] = ITERATIONS
        options['val']['val_freq'] = ITERATIONS // 2
        options['val']['metrics'].pop('niqe', None)  # the images are too small for it
        options['logger'] |= {'print_freq': 1, 'save_checkpoint_freq': ITERATIONS // 2}
        return options

    return change


def amo_online(shrink, tmp_path):
    return shrink('compact_amo_x4')


def sma_by_table(shrink, tmp_path):
    options = shrink('compact_sma_x4')
    data = options['datasets']['train']
    table = score_candidates(data['dataroot_gt'], RankerScorer(), str(tmp_path / 'quality.csv'))
    data['quality'] = {'table': str(table)}
    return options


def sma_from_lmdb(shrink, tmp_path):
    options = sma_by_table(shrink, tmp_path)
    data = options['datasets']['train']
    create_lmdb(data['dataroot_gt'], str(tmp_path / 'set.lmdb'))
    data['dataroot_gt'] = str(tmp_path / 'set.lmdb')
    return options


def gan(shrink, tmp_path):
    options = shrink('rrdb_amo_x4')
    options['datasets']['train'] |= {
        'quality': {'scorer': {'type': 'RankerScorer'}},
        'queue_size': 4,
    }
    del options['train']['perceptual_opt']  # whose VGG19 would be downloaded
    options['network_d']['num_feat'] = 4
    return options


def finetune(shrink, tmp_path):
    options = shrink('compact_amo_finetune_x4')
    base = tmp_path / 'base.safetensors'
    base.symlink_to(REPOSITORY / 'iqasr/weights/compact_x4.safetensors')
    options['network_g'] = read('train/compact_amo_finetune_x4')['network_g']
    options['path'] = {'pretrain_network_g': str(base), 'param_key_g': 'params'}
    options['val']['guard']['held_out'] = ['psnr', 'lr_psnr']
    return options


def run_stock(options: dict, root: Path, phase: str) -> str:
    """Run BasicSR's pipeline in a process of its own; returns its log."""
    path = root / 'stock.yml'
    path.write_text(yaml.safe_dump(options, sort_keys=False))
    run(run_stock_pipeline, phase, str(path), str(root), log=root / 'stock.log')
    folder = root / ('experiments' if phase == 'train' else 'results') / options['name']
    return ''.join(log.read_text() for log in folder.glob(f'{phase}_*.log'))


def values_of(log: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf'\b{name}:? ([-+\d.e]+)', log)]


@pytest.mark.parametrize('kind', [amo_online, sma_by_table, sma_from_lmdb, gan, finetune])
def test_stock_training_has_the_losses_of_ours(kind, shrink, tmp_path, train):
    options = kind(shrink, tmp_path)
    stock = run_stock(copy.deepcopy(options), tmp_path, 'train')
    ours = copy.deepcopy(options) | {'name': 'ours'}
    ours['path']['root'] = str(tmp_path)
    assert train(ours) == 0
    (log,) = (tmp_path / 'experiments/ours').glob('train_*.log')
    for term in [key.removesuffix('_opt') for key in options['train'] if key.endswith('_opt')]:
        expected = values_of(log.read_text(), f'l_{term}')
        found = values_of(stock, f'l_{term}')
        assert len(found) == ITERATIONS
        assert found == pytest.approx(expected[:ITERATIONS], rel=2e-3), term
    if kind is finetune:
        assert 'l_quality: ranker scores the network' in stock
    # Validation, checkpoints and the latest networks are there, as BasicSR's users expect them.
    folder = tmp_path / 'experiments/small'
    assert {'net_g_3.pth', 'net_g_6.pth', 'net_g_latest.pth'} <= {
        path.name for path in (folder / 'models').iterdir()
    }
    assert {p.name for p in (folder / 'training_states').iterdir()} == {'3.state', '6.state'}
    assert len(re.findall(r'@ 3: psnr', stock)) == 1


def test_stock_training_tells_a_score_that_falls(shrink, pairs, tmp_path):
    options = finetune(shrink, tmp_path)
    grey = tmp_path / 'grey'
    grey.mkdir()
    for path in (pairs / 'gt').iterdir():
        cv2.imwrite(str(grey / path.name), np.full((96, 96, 3), 128, np.uint8))
    options['datasets']['train'] = options['datasets']['val'] | {
        'dataroot_gt': str(grey), 'gt_size': 96, 'batch_size_per_gpu': 10, 'use_hflip': False,
        'num_worker_per_gpu': 0, 'use_rot': False,
    }  # fmt: skip
    options['train'] |= {'total_iter': 40, 'optim_g': {'type': 'Adam', 'lr': 1e-4}}
    options['train']['quality_opt'] |= {'gradient_ratio': 0.01}
    options['val'] = {'val_freq': 40, 'save_img': False, 'metrics': {}}
    options['logger'] |= {'print_freq': 20, 'save_checkpoint_freq': 40}
    del options['lora'], options['train']['lr_opt'], options['train']['scheduler']
    log = run_stock(options, tmp_path, 'train')
    assert len(re.findall(r'WARNING: q_quality has fallen', log)) == 1


def test_stock_test_measures_what_ours_measures(shrink, tmp_path):
    from iqasr.training.commands import test_command as command

    options = read('test/quickstart_x4') | {'name': 'small', 'num_gpu': 0}
    options['network_g'] = read('test/compact_x4')['network_g']
    data = shrink('compact_amo_x4')['datasets']['val']
    options['datasets'] = {'test': data}
    options['path'] = {'pretrain_network_g': 'iqasr/weights/compact_x4.safetensors'}
    for name in ('niqe', 'piqe', 'lpips'):
        del options['val']['metrics'][name]
    log = run_stock(options, tmp_path, 'test')
    images = list((tmp_path / 'results/small/visualization/sample').glob('*_small.png'))
    assert len(images) == 10
    (tmp_path / 'ours.yml').write_text(
        yaml.safe_dump(
            options | {'path': options['path'] | {'root': str(tmp_path / 'ours')}}, sort_keys=False
        )
    )
    assert command(['-opt', str(tmp_path / 'ours.yml')]) == 0
    (ours,) = (tmp_path / 'ours/results/small').glob('test_*.log')
    pattern = r'10 images: (.*)'
    assert re.search(pattern, log)[1] == re.search(pattern, ours.read_text())[1]


def test_a_stock_resume_continues_from_the_base_that_the_run_started_from(shrink, tmp_path):
    """BasicSR puts the checkpoint in the place of the pretrained weights when it resumes."""
    from basicsr.models import build_model
    from basicsr.utils import check_resume

    options = finetune(shrink, tmp_path)
    run_stock(options, tmp_path, 'train')
    root = tmp_path / 'experiments/small'
    opt = copy.deepcopy(options) | {
        'is_train': True, 'dist': False, 'rank': 0, 'world_size': 1, 'auto_resume': True,
        'root_path': str(tmp_path),
    }  # fmt: skip
    opt['path'] |= {
        'experiments_root': str(root),
        'models': str(root / 'models'),
        'training_states': str(root / 'training_states'),
        'log': str(root),
        'visualization': str(root / 'visualization'),
        'resume_state': str(root / 'training_states/6.state'),
    }
    state = torch.load(opt['path']['resume_state'], weights_only=True)
    check_resume(opt, state['iter'])
    assert opt['path']['pretrain_network_g'].endswith('net_g_6.pth')
    model = build_model(opt)
    model.resume_training(state)
    saved = torch.load(root / 'models/net_g_6.pth', weights_only=True)
    for key, weights in model.step.network_files()['net_g'].items():
        for name, value in weights.items():
            assert torch.equal(value, saved[key][name]), (key, name)


# Single pieces inside a code base of BasicSR


def test_stock_loader_draws_new_crops_every_epoch(candidate_options):
    section = candidate_options['datasets']['train'] | {
        'name': 'set', 'phase': 'train', 'scale': 4, 'num_worker_per_gpu': 0,
    }  # fmt: skip
    dataset = build_stock_dataset(section)
    loader = build_dataloader(dataset, section, num_gpu=0, seed=0)
    epochs = [torch.cat([batch['gt'] for batch in loader]) for _ in range(2)]
    assert not torch.equal(*epochs)
    assert dataset.opt['name'] == 'set'


def test_a_stock_model_validates_on_our_evaluation_set(pairs):
    from basicsr.models.sr_model import SRModel

    section = {
        'name': 'set', 'type': 'EvaluationDataset', 'phase': 'val', 'scale': 4,
        'dataroot_gt': str(pairs / 'gt'), 'dataroot_lq': str(pairs / 'lq'),
    }  # fmt: skip
    loader = build_dataloader(build_stock_dataset(section), section, num_gpu=0)
    metrics = {
        'psnr': {'type': 'calculate_psnr', 'crop_border': 4},
        'quality': {'type': 'calculate_quality', 'scorer': {'type': 'RankerScorer'}},
    }
    model = SRModel(
        {
            'num_gpu': 0, 'dist': False, 'is_train': False, 'network_g': dict(SMALL), 'path': {},
            'val': {'metrics': metrics, 'pbar': False},
        }
    )  # fmt: skip
    model.validation(loader, 0, None)
    assert 5 < model.metric_results['psnr'] < 40
    assert -8 < model.metric_results['quality'] < 4


@pytest.mark.parametrize(
    'section',
    [
        {'type': 'LDLLoss'},
        {'type': 'QualityLoss', 'scorer': {'type': 'RankerScorer'}, 'loss_weight': 1.0},
    ],
    ids=lambda section: section['type'],
)
def test_full_reference_losses_are_called_on_prediction_and_target(section):
    pred, target = torch.rand(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    pred.requires_grad_()
    value = build_loss(section)(pred, target)
    value.backward()
    assert value.item() > 0
    assert pred.grad.isfinite().all()


@pytest.mark.parametrize(
    ('kind', 'missing'),
    [('LRConsistencyLoss', 'lq'), ('BaseDistanceLoss', 'base'), ('NegativeLoss', 'negative')],
)
def test_losses_that_need_more_say_what(kind, missing):
    with pytest.raises(ValueError, match=rf'{kind} needs {missing}=.*RestorationModel gives it'):
        build_loss({'type': kind})(*torch.rand(2, 1, 3, 16, 16))


SCORER = {'scorer': {'type': 'RankerScorer'}}
METRICS = {
    'calculate_psnr': {'crop_border': 0},
    'calculate_ssim': {'crop_border': 0},
    'calculate_niqe': {'crop_border': 0},
    'calculate_quality': SCORER,
    'calculate_worst_tile': SCORER | {'tile_px': 64},
    'QualityMetric': SCORER,
    'WorstTile': SCORER | {'tile_px': 64},
    'calculate_high_frequency': {},
    'calculate_checkerboard': {'period': 4},
}


@pytest.mark.parametrize('name', METRICS)
def test_metrics_are_called_as_basicsr_calls_them(name, photographs):
    img2 = np.tile(photographs[0], (2, 2, 1))
    img = cv2.GaussianBlur(img2, (0, 0), 1.0)
    value = calculate_metric({'img': img, 'img2': img2}, {'type': name} | METRICS[name])
    assert isinstance(value, float)
    assert np.isfinite(value)


def test_metrics_that_need_more_say_what(photographs):
    images = {'img': photographs[0], 'img2': photographs[1]}
    for name, missing in (('calculate_lr_psnr', 'lq'), ('calculate_base_distance', 'base')):
        with pytest.raises(ValueError, match=missing):
            calculate_metric(images, {'type': name})
    own = {n for n, f in names_in(METRIC_REGISTRY).items() if f.__module__.startswith('iqasr')}
    assert own == {*METRICS, 'calculate_lr_psnr', 'calculate_base_distance'}
