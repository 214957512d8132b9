"""Two processes train as one with twice the batch, whatever the kind of run."""

import copy

import pytest
import torch
import yaml
from models.kinds import RANKER, base, fed, merge, quality, random_batch, trained
from models.train_processes import build_model, share_of, train, train_folder
from processes import run_together

from iqasr.checking.check import load_options
from iqasr.runtime.distributed import Process

pytestmark = pytest.mark.filterwarnings('ignore:Detected call of .lr_scheduler.step')

SGD = {'type': 'SGD', 'lr': 0.1, 'momentum': 0.9}

PLAIN = {
    'name': 'tiny',
    'scale': 4,
    'num_gpu': 0,
    'network_g': {'type': 'MSRResNet', 'num_feat': 8, 'num_block': 1, 'upscale': 4},
    'datasets': {
        'train': {
            'type': 'PairedImageDataset',
            'dataroot_gt': 'none',
            'dataroot_lq': 'none',
            'gt_size': 48,
            'batch_size_per_gpu': 2,
        }
    },
    'train': {
        'total_iter': 9,
        'ema_decay': 0.5,
        'optim_g': SGD,
        'pixel_opt': {'type': 'MSELoss'},
    },
}

CANDIDATES = {
    'datasets': {
        'train': {
            'type': 'MultiGTDataset',
            'dataroot_gt': 'none',
            'gt_size': 48,
            'margin': 16,
            'batch_size_per_gpu': 2,
            'sampling': {'type': 'UniformSampler', 'candidates': 'all'},
            'degradation': {'type': 'BicubicDegradation'},
        }
    }
}

ADVERSARY = {
    'network_d': {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4},
    'train': {'optim_d': SGD, 'gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla'}},
}

DEALT = {
    'averaged_clipped': [trained(clip_grad_norm=0.01, pixel_opt={'type': 'L1Loss'})],
    'accumulated': [trained(accumulate=2)],
    'gan_accumulated': [ADVERSARY, trained(accumulate=2, clip_grad_norm=1.0)],
    'sides_apart': [ADVERSARY, trained(net_d_iters=2)],
    'adapters_calibrated': [
        {'lora': {'rank': 2, 'target': ['body.*']}},
        trained(
            optim_g={'type': 'Adam', 'lr': 1e-2},
            base_opt=base(),
            quality_opt=quality(
                RANKER, loss_weight=None, gradient_ratio=0.5, calibrate_iter=1, calibrate_every=0
            ),
        ),
    ],
    'pool': [CANDIDATES, fed(queue_size=2)],
    'chosen_online': [
        CANDIDATES,
        fed(sampling={'type': 'ArgmaxSampler', 'candidates': 'all'}, quality={'scorer': RANKER}),
    ],
}
"""Runs in which a process draws nothing that would differ with its share, and no loss looks at
several images of a batch (as a relativistic one does), by what is different from `PLAIN`."""

ITERATIONS = 3


def write_kind(folder, kind, batch):
    """Write the option file of a kind of run and return its path."""
    options = copy.deepcopy(PLAIN)
    for change in copy.deepcopy(DEALT[kind]):
        data = change.get('datasets', {}).get('train', {})
        if data.get('type'):
            options['datasets'] = {'train': {}}
        merge(options, change)
    data, path = options['datasets']['train'], folder / f'{kind}.yml'
    data |= {'batch_size_per_gpu': batch}
    data |= {'queue_size': batch} if 'queue_size' in data else {}
    if 'lora' in options:
        options['path'] = {'pretrain_network_g': str(folder / 'pretrained.pth')}
    path.write_text(yaml.safe_dump(options))
    return path


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """Train all kinds in two processes; returns the folder, and the option files of one alone."""
    shared, alone = (tmp_path_factory.mktemp(name) for name in ('shared', 'alone'))
    paths = {kind: write_kind(alone, kind, 4) for kind in DEALT if kind != 'adapters_calibrated'}
    plain = build_model(paths['averaged_clipped'], Process())
    for folder in (shared, alone):
        torch.save({'params': plain.net_g.state_dict()}, folder / 'pretrained.pth')
    paths['adapters_calibrated'] = write_kind(alone, 'adapters_calibrated', 4)
    for kind, path in paths.items():
        options = load_options(path)
        parts = range(options.train.accumulate)
        batches = [
            [random_batch(options, place=4 * (len(parts) * i + part)) for part in parts]
            for i in range(ITERATIONS)
        ]
        torch.save(batches, shared / f'{kind}.batches')
        write_kind(shared, kind, 2)
    run_together(train_folder, str(shared), folder=shared)
    return shared, paths


def difference(first, second):
    """Return the largest difference of two sets of networks."""
    assert first.keys() == second.keys()
    return max(
        float((weights[key] - second[name][key]).abs().max())
        for name, weights in first.items()
        for key in weights
    )


@pytest.mark.parametrize('kind', DEALT)
def test_two_processes_train_as_one_with_twice_the_batch(kind, runs):
    shared, paths = runs
    iterations = torch.load(shared / f'{kind}.batches')
    first, second = (torch.load(shared / f'{kind}.{rank}') for rank in range(2))
    assert difference(first['weights'], second['weights']) == 0
    assert first['logs'] == second['logs']
    model = build_model(paths[kind], Process())
    before = copy.deepcopy(model.net_g.state_dict())
    # Of the halves of a batch, the mean is taken; of a whole batch, there is another measurement.
    model.step.objective.load_calibration_state(first['calibration'])
    one = train(model, iterations)
    assert difference(one['weights'], first['weights']) < 1e-5
    assert difference({'net_g': before}, {'net_g': one['weights']['net_g']}) > 1e-4
    for own, theirs in zip(one['logs'], first['logs'], strict=True):
        assert own == pytest.approx(theirs, rel=1e-4, abs=1e-6)


def test_measurements_of_two_processes_are_averaged(runs):
    shared, paths = runs
    iterations = torch.load(shared / 'adapters_calibrated.batches')[:1]
    halves = []
    for rank in range(2):
        share = [[share_of(batch, rank, 2) for batch in batches] for batches in iterations]
        model = build_model(paths['adapters_calibrated'], Process())
        halves.append(train(model, share)['calibration']['quality'])
    assert halves[0] != pytest.approx(halves[1], rel=1e-3)
    found = torch.load(shared / 'adapters_calibrated.0')['calibration']['quality']
    torch.testing.assert_close(found, (halves[0] + halves[1]) / 2, rtol=1e-5, atol=0)
