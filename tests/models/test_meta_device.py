"""Training steps on a device without values: nothing is elsewhere, and nothing waits for it."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from archs.test_spandrel_networks import OTHERS
from archs.test_spandrel_networks import SMALL as SMALL_NETWORKS
from models.device_rules import META, DeviceRules, NoNumbers, direct_to_meta
from models.kinds import KINDS, random_batch

from iqasr.archs.sizes import sizes_of
from iqasr.archs.spandrel_networks import spandrel
from iqasr.checking.check import load_options
from iqasr.data.build import build_dataset
from iqasr.evaluation import evaluate
from iqasr.models import RestorationModel
from iqasr.options.file import read_yaml
from iqasr.quality import PyIQAScorer
from iqasr.runtime.distributed import Process
from iqasr.training.opt import add_place, opt_of

pytestmark = pytest.mark.filterwarnings('ignore:Detected call of .lr_scheduler.step')

OPTION_FILES = sorted((Path(__file__).parents[2] / 'options/train').glob('*.yml'))


@pytest.fixture
def build(monkeypatch, vgg, tmp_path):
    """Build the model of an option file on the device."""
    direct_to_meta(monkeypatch)

    def on_device(path):
        options, root = load_options(path), tmp_path / 'experiments/tiny'
        return RestorationModel(opt_of(options, Process(device=META), root, seed=0, is_train=True))

    return on_device


def train(model, iterations=2):
    """Train from iteration 2 on: in the first, terms look at what the network makes, and wait.

    Constants reach the device when they are first needed. Returns the names of what was logged.
    """
    parts, logged = model.options.train.accumulate, set()
    for iteration in range(2, 2 + iterations):
        with DeviceRules(first=iteration == 2), NoNumbers():
            model.update_learning_rate(iteration, model.options.train.warmup_iter)
            for part in range(parts):
                model.feed_data(random_batch(model.options, place=2 * (iteration * parts + part)))
            model.optimize_parameters(iteration)
        assert all(value.is_meta for value in model.log_dict.values())
        logged |= model.log_dict.keys()
    networks = [n for n in (model.net_g, model.net_d, model.net_g_ema) if n is not None]
    assert all(p.is_meta for network in networks for p in network.parameters())
    return logged


# The option files

SMALL = {
    'RRDBNet': {'num_feat': 8, 'num_block': 1, 'num_grow_ch': 4},
    'SwinIR': {'depths': [2], 'num_heads': [2], 'embed_dim': 12, 'img_size': 16},
    'SRVGGNetCompact': {'num_feat': 8, 'num_conv': 2},
    'spandrel': {'n_resgroups': 1, 'n_resblocks': 1, 'n_feats': 16},
}


@pytest.fixture
def shrink(tmp_path, write_options):
    """Write an option file again with small networks, crops and pools, and a scorer that is here.

    Returns its path.
    """

    def written(path):
        options = read_yaml(path)
        data, terms = options['datasets']['train'], options['train']
        options['network_g'] |= SMALL[options['network_g']['type']]
        options.get('network_d', {}).update(num_feat=4)
        data |= {'gt_size': 64, 'batch_size_per_gpu': 2}
        data |= {'queue_size': 2} if 'queue_size' in data else {}
        for section in (data.get('quality', {}), terms.get('quality_opt', {})):
            if 'scorer' in section:
                section['scorer'] = {'type': 'RankerScorer'}
        if options['path'].get('pretrain_network_g'):
            torch.save({'params': {}, 'params_ema': {}}, tmp_path / 'base.pth')
            options['path']['pretrain_network_g'] = str(tmp_path / 'base.pth')
        if 'lora' in options:
            options['lora'] |= {'rank': 1}
        for section in (options, options['datasets']):
            section.pop('val', None)
        return write_options(options)

    return written


def step_of(path):
    """Say what a step of an option file consists of; not with which numbers, or of which data."""
    options = read_yaml(path)
    data, train = options['datasets']['train'], options['train']
    quality = data.get('quality', {})
    return (
        options['network_g']['type'],
        data['degradation']['type'],
        'online' if 'scorer' in quality else 'known' if quality else 'none',
        'queue_size' in data,
        'lora' in options,
        tuple(sorted((k, v['type']) for k, v in train.items() if k.endswith('_opt'))),
    )


STEPS = {step_of(path): path for path in OPTION_FILES}


@pytest.mark.parametrize('path', STEPS.values(), ids=lambda path: path.stem)
def test_steps_of_our_option_files_do_not_wait(path, build, shrink):
    model = build(shrink(path))
    assert train(model) >= {f'l_{name}' for name in model.options.train.terms}


@pytest.mark.parametrize('kind', KINDS)
def test_steps_of_every_kind_of_run_do_not_wait(kind, options_of, build):
    model = build(options_of(kind))
    assert train(model) >= {f'l_{name}' for name in model.options.train.terms}


def test_the_last_of_the_first_measurements_is_the_only_one_that_waits(build, options_of):
    model = build(options_of('views of JPEG'))
    calibration = model.step.objective.calibrations()['quality']
    assert calibration.measurements == 3
    train(model, 2)
    with pytest.raises(RuntimeError, match=r'item\(\) cannot be called on meta tensors'):
        train(model, 1)
    calibration.every = 1
    train(model, 2)
    assert len(calibration.measured) == 5


def test_musiq_does_not_wait(monkeypatch):
    pytest.importorskip('pyiqa')
    direct_to_meta(monkeypatch)
    scorer = PyIQAScorer('musiq', options={'pretrained': False})
    for first in (True, False):
        image = torch.rand(2, 3, 64, 64, device=META, requires_grad=True)
        with DeviceRules(first), NoNumbers():
            quality = scorer(image)
            quality.sum().backward()
    assert quality.is_meta
    assert image.grad.shape == image.shape


WAITING_NETWORKS = {'SeemoRe': 'item', 'Swin2SR': 'the copy of'}
"""Networks that choose their path by what they see, or copy a constant in each block."""


@pytest.mark.parametrize('arch', SMALL_NETWORKS | OTHERS)
@torch.no_grad()
def test_networks_restore_images_of_any_size_without_waiting(arch):
    network = spandrel(arch, **(SMALL_NETWORKS | OTHERS)[arch]).eval().to(META)
    rows, columns = sizes_of(network).padding(40, 72)
    lq = torch.rand(1, 3, 40 + rows, 72 + columns, device=META)
    reason = WAITING_NETWORKS.get(arch)
    with pytest.raises((RuntimeError, AssertionError), match=reason) if reason else nullcontext():
        for first in (True, False):
            with DeviceRules(first), NoNumbers():
                network(lq)


# Validation


@pytest.fixture
def validated(build, paired_options, write_options):
    """A model that restores in tiles, and its data set."""
    paired_options['val'] |= {'tile_px': 16, 'tile_overlap_px': 4}
    model = build(write_options(paired_options))
    section = add_place(model.options.datasets['val'], 'val', 4)
    return model, build_dataset(section, scale=4, phase='val')


def test_images_are_restored_on_the_device_and_leave_it_only_to_be_measured(validated, monkeypatch):
    model, dataset = validated
    to_host, restored = evaluate.image_of, []

    def image_of(tensor):
        if not tensor.is_meta:
            return to_host(tensor)
        restored.append(tuple(tensor.shape))
        return np.zeros((*tensor.shape[1:], 3), np.uint8)

    monkeypatch.setattr(evaluate, 'image_of', image_of)
    with DeviceRules(first=True):
        result = model.validation(SimpleNamespace(dataset=dataset), 2, None)
    assert len(result.rows) == len(dataset) == 10
    assert restored == [(3, 96, 96), (3, 24, 24)] * 10


def test_visuals_are_what_is_copied_to_the_host(validated):
    model, dataset = validated
    with DeviceRules(first=True):
        model.feed_data({'lq': dataset[0]['lq'][None]})
        model.test()
    assert model.output.is_meta
    assert model.output.shape == (1, 3, 96, 96)
    with pytest.raises(NotImplementedError, match='Cannot copy out of meta tensor'):
        model.get_current_visuals()


# The rules

HOST = torch.ones(2, 3, 8, 8)
THERE = HOST.to(META)

WRONG = {
    'addition': lambda: THERE + HOST,
    'convolution': lambda: F.conv2d(THERE, torch.ones(3, 3, 3, 3)),
    'product': lambda: THERE @ torch.ones(8, 8),
    'places on the host': lambda: THERE[:, torch.tensor([0, 2])],
    'places of a mask': lambda: THERE[THERE > 0],
    'values at a mask': lambda: THERE.index_put_((THERE > 0,), THERE.flatten()),
    'places': lambda: THERE.nonzero(),
    'number': lambda: THERE.sum().item(),
    'numbers': lambda: THERE.tolist(),
    'truth': lambda: bool(THERE.sum() > 0),
    'copy from the device': lambda: THERE.cpu(),
    'copy to the device': lambda: HOST.to(META),
    'copy into the device': lambda: THERE.copy_(HOST),
    'new tensor': lambda: THERE.new_tensor([1.0, 2.0]),
    'tensor': lambda: torch.tensor(1.0, device=META),
    'median': lambda: THERE.nanmedian(),
}


@pytest.mark.parametrize('operation', WRONG)
def test_rules_refuse(operation):
    with (
        pytest.raises((AssertionError, RuntimeError, NotImplementedError)),
        DeviceRules(),
        NoNumbers(),
    ):
        WRONG[operation]()


def test_rules_allow_what_a_gpu_does_at_once():
    with DeviceRules(), NoNumbers():
        there = HOST.to(META, non_blocking=True)
        there[there > 0] = 0.5
        there = there * torch.tensor(2.0) + torch.full((8,), 3.0, device=META)
        assert there[:, torch.arange(2, device=META)].shape == (2, 2, 8, 8)
