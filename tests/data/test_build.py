"""Data sets from their sections: ours, BasicSR's, anybody's."""

import shutil

import pytest
import torch
from torch.utils.data import Dataset

from iqasr.data import EvaluationDataset, MultiGTDataset, build_dataset
from iqasr.data.loader import PlacedDataset, left_unopened
from iqasr.data.stores.lmdb_store import create_lmdb
from iqasr.registry import DATASET_REGISTRY
from iqasr.runtime.errors import DataError, OptionError


class Anybodys(Dataset):
    """Takes one dict, as those of BasicSR do."""

    def __init__(self, cfg):
        self.opt = cfg
        self.count = cfg['alpha']

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return {'lq': torch.zeros(3, 4, 4), 'gt': torch.zeros(3, 16, 16)}

    def check(self, decode=False):
        return ['it is broken.'] if self.count > 9 else []


@pytest.fixture(autouse=True)
def register():
    DATASET_REGISTRY.register(Anybodys)
    yield
    del DATASET_REGISTRY._obj_map['Anybodys']


def test_class_of_a_user_gets_its_section_and_what_basicsr_adds():
    section = {'type': 'Anybodys', 'alpha': 3, 'batch_size_per_gpu': 2}
    dataset = build_dataset(section, scale=4, phase='train')
    assert dataset.opt == section | {'name': 'train', 'phase': 'train', 'scale': 4}


@pytest.mark.parametrize(
    ('alpha', 'reason'),
    [
        ({'alpha': 10}, r'it is broken\.'),
        ({'alpha': 0}, 'train: holds no images'),
        ({}, r"Anybodys cannot be built from its options: KeyError\('alpha'\)"),
    ],
)
def test_class_of_a_user_is_checked(alpha, reason):
    with pytest.raises(DataError, match=reason):
        build_dataset({'type': 'Anybodys'} | alpha, scale=4, phase='train')


def test_ours_are_built_from_their_section(candidates, pairs, caplog):
    train = {'type': 'MultiGTDataset', 'dataroot_gt': str(candidates), 'gt_size': 32}
    train |= {'sampling': {'type': 'UniformSampler'}, 'num_worker_per_gpu': 2}
    with caplog.at_level('INFO', 'iqasr'):
        dataset = build_dataset(train, scale=4, phase='train')
    assert isinstance(dataset, MultiGTDataset)
    assert 'train: 10 images; 0 without an allowed candidate' in caplog.text
    test = {'type': 'EvaluationDataset', 'name': 'pieces', 'dataroot_lq': str(pairs / 'lq')}
    assert isinstance(build_dataset(test, scale=4, phase='val'), EvaluationDataset)
    with pytest.raises(OptionError, match=r'datasets\.train\.sampling: is required and missing'):
        build_dataset({k: train[k] for k in train if k != 'sampling'}, scale=4, phase='train')


def test_broken_images_of_ours_are_named(candidates, tmp_path):
    shutil.copytree(candidates, tmp_path / 'set')
    path = tmp_path / 'set/01/03_01.png'
    path.write_bytes(b'')
    section = {'type': 'MultiGTDataset', 'dataroot_gt': str(tmp_path / 'set'), 'gt_size': 32}
    section['sampling'] = {'type': 'UniformSampler'}
    with pytest.raises(DataError, match=rf'{path}: empty'):
        build_dataset(section, scale=4, phase='train')


def test_folders_of_basicsr_are_in_order_and_need_no_backend(pairs):
    section = {'type': 'PairedImageDataset', 'gt_size': 32}
    section |= {f'dataroot_{name}': str(pairs / name) for name in ('gt', 'lq')}
    dataset = build_dataset(section, scale=4, phase='train')
    paths = [item['gt_path'] for item in dataset.paths]
    assert paths == sorted(paths)
    assert dataset[0]['gt'].shape == (3, 32, 32)
    assert 'io_backend' not in section


def pairs_in(folders, **options):
    section = {'type': 'PairedImageDataset', 'gt_size': 32} | options
    for kind in ('gt', 'lq'):
        section[f'dataroot_{kind}'] = [str(folder / kind) for folder in folders]
    return section


def test_pairs_of_several_folders_are_joined(pairs, tmp_path):
    shutil.copytree(pairs, tmp_path / 'more')
    joined = build_dataset(pairs_in([pairs, tmp_path / 'more']), scale=4, phase='train')
    [alone] = [build_dataset(pairs_in([pairs]), scale=4, phase='train')]
    assert len(joined) == 2 * len(alone) == 20
    assert joined[13]['gt_path'] == str(tmp_path / 'more/gt/03.png')
    assert joined[13]['lq_path'] == str(tmp_path / 'more/lq/03.png')
    placed = PlacedDataset(joined, 0)
    assert torch.equal(placed[7, 3]['gt'], PlacedDataset(alone, 0)[7, 3]['gt'])
    assert f'{tmp_path}/more/gt/03.png' in placed.name(13)


def test_stores_of_several_folders_are_joined_and_left_unopened(pairs, tmp_path):
    for name in ('a', 'b'):
        for kind in ('gt', 'lq'):
            create_lmdb(str(pairs / kind), str(tmp_path / name / f'{kind}.lmdb'))
    section = pairs_in([], io_backend={'type': 'lmdb'})
    for kind in ('gt', 'lq'):
        section[f'dataroot_{kind}'] = [str(tmp_path / name / f'{kind}.lmdb') for name in 'ab']
    joined = build_dataset(section, scale=4, phase='train')
    for _ in range(2):
        with left_unopened(joined):
            assert joined[13]['gt'].shape == (3, 32, 32)
        assert joined.datasets[1].file_client is None


def test_problems_of_several_folders_are_told_together(pairs, tmp_path):
    for name in ('a', 'b'):
        shutil.copytree(pairs, tmp_path / name)
        (tmp_path / name / 'lq/03.png').write_bytes(b'')
    section = pairs_in([tmp_path / 'a', tmp_path / 'b'])
    with pytest.raises(DataError) as caught:
        build_dataset(section, scale=4, phase='train')
    files = [problem.split(': ')[0] for problem in caught.value.problems]
    assert files == [str(tmp_path / name / 'lq/03.png') for name in ('a', 'b')]


@pytest.mark.parametrize('kind', ['PairedImageDataset', 'EvaluationDataset'])
def test_images_in_sub_folders_are_counted(kind, pairs, tmp_path, caplog):
    shutil.copytree(pairs, tmp_path / 'set')
    shutil.copytree(pairs / 'lq', tmp_path / 'set/lq/night')
    section = {'type': kind} | {f'dataroot_{k}': str(tmp_path / 'set' / k) for k in ('gt', 'lq')}
    with caplog.at_level('WARNING', 'iqasr'):
        assert len(build_dataset(section, scale=4, phase='val')) == 10
    [text] = caplog.messages
    assert text.startswith(f'{tmp_path}/set/lq: 10 images in sub-folders (night) are not used.')
