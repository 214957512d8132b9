"""Training data reaches workers that are started afresh, as on Windows and macOS."""

import pickle

import pytest
import torch
import yaml
from torch.utils.data import DataLoader

from iqasr.data import build_dataset
from iqasr.data.loader import PlacedDataset, training_stream
from iqasr.data.stores.lmdb_store import create_lmdb
from iqasr.data.stores.raw_store import create_raw_store
from iqasr.options.sections import LoaderOptions
from iqasr.training.commands import train_command


@pytest.fixture
def stored(pairs, candidates, tmp_path):
    """The same images in folders, LMDBs and raw stores, by kind and name."""
    folders = {'gt': pairs / 'gt', 'lq': pairs / 'lq', 'candidates': candidates}
    made = {'disk': {name: str(folder) for name, folder in folders.items()}}
    for kind, create in (('lmdb', create_lmdb), ('raw', create_raw_store)):
        made[kind] = {name: str(tmp_path / f'{name}.{kind}') for name in folders}
        for name, folder in folders.items():
            create(str(folder), made[kind][name])
    return made


def training_set(options):
    return build_dataset(options['datasets']['train'], scale=4, phase='train')


def assert_same_when_sent(dataset):
    """Assert that a data set gives the same items in another process."""
    placed = PlacedDataset(dataset, seed=3)
    sent = pickle.loads(pickle.dumps(placed))
    expected, found = placed[7, 1], sent[7, 1]
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value) if torch.is_tensor(value) else found[name] == value


@pytest.mark.parametrize('kind', ['disk', 'raw'])
def test_pairs_can_be_sent(paired_options, stored, kind):
    section = paired_options['datasets']['train']
    section |= {'dataroot_gt': stored[kind]['gt'], 'dataroot_lq': stored[kind]['lq']}
    assert_same_when_sent(training_set(paired_options))


@pytest.mark.parametrize('kind', ['disk', 'lmdb', 'raw'])
def test_candidates_can_be_sent(candidate_options, stored, kind):
    candidate_options['datasets']['train']['dataroot_gt'] = stored[kind]['candidates']
    assert_same_when_sent(training_set(candidate_options))


@pytest.fixture
def spawn(monkeypatch):
    """Start workers afresh."""

    def spawning(*args, **kwargs):
        context = 'spawn' if kwargs['num_workers'] else None
        return DataLoader(*args, **kwargs, multiprocessing_context=context)

    monkeypatch.setattr('iqasr.data.loader.DataLoader', spawning)


@pytest.mark.usefixtures('spawn')
def test_spawned_workers_give_the_same_batches(candidate_options):
    dataset = training_set(candidate_options)
    batches = []
    for workers in (0, 1):
        loader = LoaderOptions(type='x', batch_size_per_gpu=2, num_worker_per_gpu=workers)
        with training_stream(dataset, loader, seed=0) as stream:
            batches.append([next(stream)[0] for _ in range(2)])
    for alone, sent in zip(*batches, strict=True):
        assert torch.equal(alone['gt'], sent['gt'])
        assert torch.equal(alone['original'], sent['original'])


@pytest.mark.usefixtures('spawn')
def test_checked_pairs_in_lmdbs_reach_spawned_workers(paired_options, stored, tmp_path):
    section = paired_options['datasets']['train']
    section |= {'dataroot_gt': stored['lmdb']['gt'], 'dataroot_lq': stored['lmdb']['lq']}
    section |= {'io_backend': {'type': 'lmdb'}, 'num_worker_per_gpu': 1}
    path = tmp_path / 'options.yml'
    path.write_text(yaml.safe_dump(paired_options), encoding='utf-8')
    assert train_command(['-opt', str(path), '--check']) == 0
