"""Models and batches that the tests of the training step share."""

import copy

import pytest
import torch
import torch.nn.functional as F
from models.kinds import KINDS, merge

from iqasr.checking.check import load_options
from iqasr.models import RestorationModel
from iqasr.runtime.distributed import Process
from iqasr.training.opt import opt_of


@pytest.fixture
def model_of(write_options, tmp_path):
    """Build the model of some options as our trainer does."""

    def build(options, seed=0, resume_state=None):
        checked, root = load_options(write_options(options)), tmp_path / 'experiments/tiny'
        how = {'seed': seed, 'is_train': True, 'resume_state': resume_state}
        return RestorationModel(opt_of(checked, Process(), root, **how))

    return build


@pytest.fixture
def iterate():
    """Carry out an iteration as a trainer does; returns what was logged."""

    def step(model, batches, iteration, position=None):
        batches = batches if isinstance(batches, list) else [batches]
        model.update_learning_rate(iteration, model.options.train.warmup_iter)
        if position is not None:
            model.position = position
        for data in batches:
            model.feed_data(data)
        model.optimize_parameters(iteration)
        return model.log_dict

    return step


@pytest.fixture
def batch_of():
    return random_batch


def random_batch(place, count=2):
    generator = torch.Generator().manual_seed(place)
    lq = torch.rand(count, 3, 8, 8, generator=generator)
    return {'lq': lq, 'gt': F.interpolate(lq, scale_factor=4)}


@pytest.fixture
def gan_options(paired_options):
    paired_options['network_d'] = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
    paired_options['train'] |= {
        'optim_g': {'type': 'Adam', 'lr': 3e-4},
        'optim_d': {'type': 'Adam', 'lr': 1e-4},
        'gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla', 'loss_weight': 0.01},
    }
    return paired_options


@pytest.fixture
def quality_options(paired_options):
    """Options that raise the ranker's score, its weight calibrated, in views of 48 px."""
    paired_options['datasets']['train']['gt_size'] = 64
    paired_options['train']['quality_opt'] = {
        'type': 'QualityLoss',
        'scorer': {'type': 'RankerScorer'},
        'gradient_ratio': 0.5,
        'calibrate_iter': 3,
        'views': {'crop': 48, 'flip': True},
    }
    return paired_options


@pytest.fixture
def adapt(model_of, tmp_path):
    return lambda options: add_adapters(options, model_of, tmp_path)


def add_adapters(options, model_of, tmp_path):
    path = tmp_path / 'base.pth'
    torch.save({'params': model_of(options).net_g.state_dict()}, path)
    options['path']['pretrain_network_g'] = str(path)
    options['lora'] = {'rank': 2, 'target': ['body.*']}


@pytest.fixture
def options_of(request, write_options, random_weights, vgg, model_of, tmp_path):
    """Write the option file of a kind of run, by its name in `KINDS`; returns its path."""

    def written(kind):
        name, *changes = KINDS[kind]
        options = request.getfixturevalue(name)
        path = tmp_path / 'pretrained.pth'
        torch.save({'params': model_of(options).net_g.state_dict()}, path)
        for change in changes:
            merge(options, copy.deepcopy(change))
        options['path']['pretrain_network_g'] = str(path)
        return write_options(options)

    return written
