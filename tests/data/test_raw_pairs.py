"""Pairs from raw stores: what BasicSR reads from folders, bit for bit."""

import pytest
import torch

from iqasr.checking.check import load_options
from iqasr.data import build_dataset
from iqasr.data.loader import PlacedDataset
from iqasr.data.raw_pairs import RawPairs
from iqasr.data.stores.raw_store import create_raw_store
from iqasr.degradation import from_uint8
from iqasr.runtime.errors import DataError


@pytest.fixture(scope='module')
def stores(pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp('stores')
    for name in ('gt', 'lq'):
        create_raw_store(str(pairs / name), str(folder / f'{name}.raw'))
    return {f'dataroot_{name}': str(folder / f'{name}.raw') for name in ('gt', 'lq')}


@pytest.fixture
def options(paired_options, write_options):
    return load_options(write_options(paired_options))


def build(options, phase='train', **changes):
    section = options.datasets['train'] | {'use_hflip': True, 'use_rot': True} | changes
    return build_dataset(section, scale=4, phase=phase)


def test_training_crops_are_those_of_basicsr(options, stores):
    plain, raw = build(options), build(options, **stores)
    assert isinstance(raw, RawPairs)
    assert len(raw) == len(plain) == 10
    plain, raw = PlacedDataset(plain, 5), PlacedDataset(raw, 5)
    for position in range(40):
        place = (position, position % 10)
        for what in ('gt', 'lq'):
            assert raw[place][what].dtype == torch.uint8
            assert torch.equal(from_uint8(raw[place][what]), plain[place][what])


def test_whole_images_are_those_of_basicsr(options, stores):
    plain, raw = build(options, 'val'), build(options, 'val', **stores)
    for index in range(len(plain)):
        for what in ('gt', 'lq'):
            assert torch.equal(raw[index][what], plain[index][what])
    assert raw[3]['lq_path'] == '03'


def test_the_model_gets_the_same_floats(options, stores):
    from iqasr.models.sample_preparation import SamplePreparation
    from iqasr.runtime.distributed import Process

    prepare = SamplePreparation({}, scale=4, sharpen=[], process=Process(), seed=0)
    for changes in ({}, stores):
        item = PlacedDataset(build(options, **changes), 5)[0, 0]
        pairs, _ = prepare({what: item[what][None] for what in ('lq', 'gt')}, 0)
        lq, gt = pairs.lq, pairs.gt
        assert lq.dtype == gt.dtype == torch.float32
        if not changes:
            expected = lq, gt
    assert torch.equal(lq, expected[0])
    assert torch.equal(gt, expected[1])


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'dataroot_lq': 'folder'}, 'as both dataroots of PairedImageDataset'),
        ({'color': 'y'}, 'color cannot be used with raw stores'),
        ({'dataroot_lq': 'gt'}, 'as all here, is for scale 1, but scale is 4'),
        ({'filename_tmpl': '{}x4'}, r'00x4: missing\. It is the LQ of'),
    ],
)
def test_what_does_not_fit_is_refused(options, stores, pairs, changes, reason):
    places = {'folder': str(pairs / 'lq'), 'gt': stores['dataroot_gt']}
    changes = {key: places.get(value, value) for key, value in changes.items()}
    with pytest.raises(DataError, match=reason):
        build(options, **stores | changes)
