"""Training steps on a device without values: nothing is elsewhere, and nothing waits for it."""

from pathlib import Path

import pytest
import torch
from models.device_rules import META, DeviceRules, NoNumbers, direct_to_meta
from models.kinds import KINDS, random_batch

from iqasr.checking.check import load_options
from iqasr.models import RestorationModel
from iqasr.options.file import read_yaml
from iqasr.runtime.distributed import Process
from iqasr.training.opt import opt_of

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
        options.pop('val', None), options['datasets'].pop('val', None)
        return write_options(options)

    return written


@pytest.mark.parametrize('path', OPTION_FILES, ids=lambda path: path.stem)
def test_steps_of_our_option_files_do_not_wait(path, build, shrink):
    model = build(shrink(path))
    assert train(model) >= {f'l_{name}' for name in model.options.train.terms}


@pytest.mark.parametrize('kind', KINDS)
def test_steps_of_every_kind_of_run_do_not_wait(kind, options_of, build):
    model = build(options_of(kind))
    assert train(model) >= {f'l_{name}' for name in model.options.train.terms}
