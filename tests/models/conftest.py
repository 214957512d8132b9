"""Models and batches that the tests of the training step share."""

import pytest
import torch
import torch.nn.functional as F

from iqasr.checking.check import load_options
from iqasr.models import RestorationModel
from iqasr.runtime.distributed import Process
from iqasr.training.builders import build_choice


@pytest.fixture
def model_of(write_options):
    def build(options, **arguments):
        checked = load_options(write_options(options))
        return RestorationModel(
            checked, Process(), 0, build_choice(checked, Process()), **arguments
        )

    return build


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
def adapt(model_of, tmp_path):
    return lambda options: add_adapters(options, model_of, tmp_path)


def add_adapters(options, model_of, tmp_path):
    path = tmp_path / 'base.pth'
    torch.save({'params': model_of(options).net_g.state_dict()}, path)
    options['path']['pretrain_network_g'] = str(path)
    options['lora'] = {'rank': 2, 'target': ['body.*']}
