"""Test sets: which files belong together, and what does not fit."""

import shutil

import cv2
import numpy as np
import pytest
import torch
from basicsr.data import build_dataloader, build_dataset

from iqasr.data.evaluation_dataset import EvaluationDataset
from iqasr.data.stores.lmdb_store import create_lmdb
from iqasr.data.stores.raw_store import create_raw_store
from iqasr.runtime.errors import DataError


def test_files_that_do_not_match_the_test_set_are_named(labelled_set):
    (labelled_set / 'lq/01_a-1.png').rename(labelled_set / 'lq/other.png')
    with pytest.raises(DataError) as caught:
        EvaluationDataset(
            scale=4, dataroot_gt=str(labelled_set), dataroot_lq=str(labelled_set / 'lq')
        )
    text = str(caught.value)
    missing = f"{labelled_set}/lq/01_a-1.*: missing, the lq of '01_a-1'. Add it, or say by "
    assert f'{missing}filename_tmpl how such files are called.' in text
    assert f'{labelled_set}/lq/other.png: the test set has no image of this name.' in text


def test_template_of_outputs_is_named(pairs):
    roots = {'dataroot_gt': str(pairs / 'gt'), 'dataroot_restored': str(pairs / 'lq')}
    with pytest.raises(DataError, match=r'/03_x4\.\*: missing, the output .* by restored_tmpl how'):
        EvaluationDataset(scale=4, restored_tmpl='{}_x4', **roots)


@pytest.mark.parametrize('create', [create_lmdb, create_raw_store])
def test_stores_give_what_folders_give(create, labelled_set, tmp_path):
    path = str(tmp_path / f'set.{"lmdb" if create is create_lmdb else "raw"}')
    lq = str(labelled_set / 'lq')
    folder = EvaluationDataset(scale=4, dataroot_gt=str(labelled_set), dataroot_lq=lq)
    shutil.copytree(labelled_set / 'images', tmp_path / 'set/images')
    shutil.copytree(labelled_set / 'labels', tmp_path / 'set/labels')
    create(str(tmp_path / 'set'), path)
    store = EvaluationDataset(scale=4, dataroot_gt=path, dataroot_lq=lq)
    assert store.check() == []
    assert len(store) == len(folder) == 2
    for a, b in zip(folder, store, strict=True):
        assert a['key'] == b['key']
        assert all(map(torch.equal, a['gt'], b['gt']))


@pytest.mark.parametrize(
    ('kind', 'shape', 'fits'),
    [
        ('lq', (24, 24), True),
        ('lq', (24, 23), False),
        ('restored', (97, 98), True),
        ('restored', (96, 96), True),
        ('restored', (95, 96), False),
    ],
)
def test_sizes_that_do_not_fit_are_named(kind, shape, fits, tmp_path):
    for folder, size in (('gt', (97, 98)), (kind, shape)):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / 'a.png'), np.zeros((*size, 3), np.uint8))
    roots = {f'dataroot_{name}': str(tmp_path / name) for name in ('gt', kind)}
    dataset = EvaluationDataset(scale=4, **roots)
    problems = dataset.check()
    assert (problems == []) == fits
    if fits:
        assert dataset[0]['gt'].shape[1:] == ((96, 96) if kind == 'lq' else shape)
    else:
        assert f'but its ground truth {tmp_path}/gt/a.png is 98 x 97 px' in problems[0]


def test_stock_basicsr_validates_on_single_ground_truths(pairs):
    opt = {'type': 'EvaluationDataset', 'name': 'Set', 'phase': 'val', 'scale': 4}
    opt |= {'dataroot_gt': str(pairs / 'gt'), 'dataroot_lq': str(pairs / 'lq')}
    ours = build_dataset(opt)
    assert ours.opt['name'] == 'Set'
    folders = opt | {'type': 'PairedImageDataset', 'io_backend': {'type': 'disk'}}
    theirs = build_dataset(folders)
    by_path = {item['lq_path']: item for item in theirs}
    for item in ours:
        expected = by_path[item['lq_path']]
        assert item['gt_path'] == expected['gt_path']
        assert torch.equal(item['lq'], expected['lq'])
        assert torch.equal(item['gt'], expected['gt'])
    batch = next(iter(build_dataloader(ours, opt)))
    assert batch['lq'].shape == (1, 3, 24, 24)
    assert batch['lq_path'] == [str(pairs / 'lq/00.png')]


def test_form_of_items(labelled_set):
    roots = {'dataroot_gt': str(labelled_set), 'dataroot_lq': str(labelled_set / 'lq')}
    several, one = (
        EvaluationDataset(scale=4, candidates=which, **roots)[0] for which in ('all', 'original')
    )
    assert [gt.shape for gt in several['gt']] == [(3, 96, 96)] * 4
    assert torch.equal(one['gt'], several['gt'][0])
    assert one['gt'].dtype == one['lq'].dtype == torch.float32
    bare = EvaluationDataset(scale=4, dataroot_lq=roots['dataroot_lq'])
    assert set(bare[0]) == {'key', 'lq', 'lq_path'}
    assert (bare.opt['name'], bare.opt['phase']) == ('EvaluationDataset', 'val')


def test_decoding_finds_damage_inside(pairs, tmp_path):
    shutil.copytree(pairs, tmp_path / 'pairs')
    path = tmp_path / 'pairs/gt/03.png'
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    roots = {f'dataroot_{name}': str(tmp_path / 'pairs' / name) for name in ('gt', 'lq')}
    dataset = EvaluationDataset(scale=4, **roots)
    assert dataset.check() == []
    [problem] = dataset.check(decode=True)
    assert problem.startswith(f'{path}: cannot be decoded')
