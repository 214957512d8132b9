"""The device under test, exact arithmetic on it, and runs of every kind that are small enough."""

import os

# Read when CUDA starts: without it, matrix products are not repeatable.
os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')

import copy
from collections.abc import Callable
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from basicsr.archs import vgg_arch
from devices import CPU
from random_weights import VGG19
from torch import Tensor

from iqasr.checking.check import load_options
from iqasr.data.build import build_dataset
from iqasr.data.loader import loader_options, training_stream
from iqasr.models import RestorationModel
from iqasr.runtime.distributed import Process
from iqasr.training.opt import opt_of


@pytest.fixture(scope='session')
def device() -> torch.device:
    """The device that is compared with the CPU.

    The environment variable IQASR_TEST_DEVICE, else a GPU if there is one. Else the CPU stands in
    and is compared with itself: that proves nothing, but runs the tests, so that they do not rot.
    """
    found = 'cuda' if torch.cuda.is_available() else 'cpu'
    return torch.device(os.environ.get('IQASR_TEST_DEVICE', found))


@pytest.fixture(autouse=True)
def exact_float32():
    """Compute in full single precision, by the same algorithm each time; restored afterwards."""
    owners = {'cublas': torch.backends.cuda.matmul, 'cudnn': torch.backends.cudnn}
    names = (('cublas', 'allow_tf32'), ('cudnn', 'allow_tf32'), ('cudnn', 'benchmark'))
    before = [getattr(owners[owner], name) for owner, name in names]
    for owner, name in names:
        setattr(owners[owner], name, False)
    yield
    for (owner, name), value in zip(names, before, strict=True):
        setattr(owners[owner], name, value)


@pytest.fixture
def images(photographs) -> Tensor:
    """Four pieces of photographs, (4, 3, 96, 96) RGB in [0, 1]."""
    pieces = np.stack(photographs[1:9:2])
    return torch.from_numpy(pieces).permute(0, 3, 1, 2).contiguous().float() / 255


# Runs

GENERATOR = {'type': 'SRVGGNetCompact', 'num_conv': 2, 'num_feat': 16, 'upscale': 4}
DISCRIMINATOR = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
ADAM = {'type': 'Adam', 'lr': 1e-4, 'betas': [0.9, 0.99]}
LAYERS = {'conv1_2': 0.1, 'conv2_2': 0.1, 'conv3_4': 1, 'conv4_4': 1, 'conv5_4': 1}
QUALITY = {
    'type': 'QualityLoss',
    'scorer': {'type': 'RankerScorer'},
    'gradient_ratio': 0.5,
    'calibrate_iter': 2,
    'calibrate_every': 0,
    'views': {'crop': 48, 'flip': True},
}
ANCHORS = {
    'consistency_opt': {'type': 'LRConsistencyLoss', 'sigma_px': 1.0},
    'base_opt': {'type': 'BaseDistanceLoss', 'loss_weight': 0.5},
}
GAN = {
    'optim_d': ADAM,
    'clip_grad_norm': 1.0,
    'perceptual_opt': {'type': 'PerceptualLoss', 'layer_weights': LAYERS},
    'gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla', 'loss_weight': 0.1},
}
FULL_REFERENCE = QUALITY | {
    'scorer': {'type': 'LPIPSScorer'},
    'views': {'shift': 4, 'noise_range': [1, 5], 'rounding': True, 'jpeg_range': [60, 95]},
}
ONLINE = {
    'sampling': {'type': 'SoftmaxSampler', 'temperature': 1.0},
    'quality': {'scorer': {'type': 'RankerScorer'}},
    'degradation': {'type': 'BicubicDegradation'},
    'queue_size': 0,
}
TRAIN = {
    'l1': {},
    'gan': GAN,
    'quality': {'quality_opt': QUALITY},
    'lora': {'quality_opt': QUALITY} | ANCHORS,
    'anchors': {'ldl_opt': {'type': 'LDLLoss'}} | ANCHORS,
    'full reference': {'quality_opt': FULL_REFERENCE},
    'online': {},
    'pool': {},
}
"""What each kind of run adds to an L1 loss; ``online`` and ``pool`` have candidates."""


@pytest.fixture
def options_of(paired_options, candidate_options, tmp_path, monkeypatch, random_weights):
    """Make the options of a kind of run, an entry of `TRAIN`; crops of 64 px, batches of 2."""
    monkeypatch.setattr(vgg_arch.vgg, 'vgg19', lambda **_: VGG19())
    monkeypatch.setattr('iqasr.losses.pretrained_features.missing_features', lambda _: None)

    def make(kind: str) -> dict:
        of_candidates = kind in ('online', 'pool')
        options = copy.deepcopy(candidate_options if of_candidates else paired_options)
        data, train = options['datasets']['train'], options['train']
        data |= {'gt_size': 64, 'pin_memory': True}
        if of_candidates:
            pooled = {'degradation': {'type': 'SecondOrderDegradation'}, 'queue_size': 4}
            data |= {'margin': 16} | (ONLINE if kind == 'online' else pooled)
            del options['network_d'], train['optim_d'], train['gan_opt']
        options['network_g'] = dict(GENERATOR)
        train |= {'optim_g': ADAM, 'total_iter': 20} | TRAIN[kind]
        train['scheduler'] = {'type': 'CosineAnnealingLR', 'T_max': 20}
        if kind == 'gan':
            options['network_d'] = dict(DISCRIMINATOR)
        if kind in ('lora', 'anchors'):
            pretrained = build_on(make('l1'), CPU, tmp_path).net_g
            torch.save({'params': pretrained.state_dict()}, tmp_path / 'base.pth')
            options['path']['pretrain_network_g'] = str(tmp_path / 'base.pth')
        if kind == 'lora':
            options['lora'] = {'rank': 2, 'target': ['body.*']}
        return copy.deepcopy(options)

    return make


def build_on(options: dict, device: torch.device, folder, **how) -> RestorationModel:
    checked = load_options(write(options, folder))
    root = folder / 'experiments' / options['name']
    how = {'seed': 0, 'is_train': True} | how
    return RestorationModel(opt_of(checked, Process(device=device), root, **how))


def write(options: dict, folder) -> str:
    path = folder / f'{options["name"]}.yml'
    path.write_text(yaml.safe_dump(options, sort_keys=False))
    return str(path)


@pytest.fixture
def build(tmp_path):
    """Build the model of some options on a device: ``build(options, device)``."""
    return lambda options, device, **how: build_on(options, device, tmp_path, **how)


@pytest.fixture
def batches_of(tmp_path):
    """Read the first batches of a run as its loader gives them, pinned where there is a GPU."""

    def read(options: dict, count: int) -> list[dict]:
        checked = load_options(write(options, tmp_path))
        section = opt_of(checked, Process(), tmp_path / 'a/b', seed=0, is_train=True)
        section = section['datasets']['train']
        dataset = build_dataset(section, scale=checked.scale, phase='train')
        with training_stream(dataset, loader_options(section), seed=0) as stream:
            return [batch for (batch,) in islice(stream, count)]

    return read


def iterate(model: RestorationModel, batches: list[dict], first: int = 1) -> list[dict]:
    """Carry out an iteration with each batch; returns what each logged, on the device."""
    logs = []
    for iteration, batch in enumerate(batches, first):
        model.update_learning_rate(iteration)
        model.feed_data(batch)
        model.optimize_parameters(iteration)
        logs.append(model.log_dict)
    return logs


@pytest.fixture(name='iterate')
def iterate_fixture() -> Callable:
    return iterate


@pytest.fixture
def trained(build, batches_of, iterate):
    """Train on a device: ``trained(options, device, iterations)`` has logs, model and start."""

    def train(options: dict, device: torch.device, iterations: int) -> SimpleNamespace:
        model = build(options, device)
        start = copy.deepcopy(model.net_g.state_dict())
        logs = iterate(model, batches_of(options, iterations))
        values = [{name: value.item() for name, value in log.items()} for log in logs]
        return SimpleNamespace(model=model, start=start, logs=values)

    return train
