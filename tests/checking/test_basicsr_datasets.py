"""The options that are written down are those that BasicSR's data sets read."""

import pytest
from basicsr.data import DATASET_REGISTRY
from pydantic import ValidationError

from iqasr.checking.basicsr_datasets import BASICSR_DATASETS
from iqasr.registry import lookup


class ReadKeys(dict):
    """A dict that notes what is looked up in it."""

    def __init__(self, *args):
        super().__init__(*args)
        self.read = set()

    def __getitem__(self, key):
        self.read.add(key)
        return super().__getitem__(key)

    def __contains__(self, key):
        self.read.add(key)
        return super().__contains__(key)


@pytest.mark.parametrize('name', BASICSR_DATASETS)
def test_all_options_that_a_data_set_reads_are_listed(name, pairs):
    section = {'dataroot_gt': str(pairs / 'gt'), 'dataroot_lq': str(pairs / 'lq'), 'scale': 4}
    section |= {'gt_size': 32, 'use_hflip': True, 'use_rot': True}
    read = set()
    for phase in ('train', 'val'):
        opt = ReadKeys(section | {'phase': phase, 'io_backend': {'type': 'disk'}})
        item = lookup(DATASET_REGISTRY, name)(opt)[0]
        assert item['lq'].shape[0] == 3
        read |= opt.read
    assert read - {'phase', 'scale'} == set(BASICSR_DATASETS[name].model_fields)


@pytest.mark.parametrize(
    ('name', 'change', 'path'),
    [
        ('PairedImageDataset', {'gt_size': 0}, 'gt_size'),
        ('PairedImageDataset', {'use_rot': 'often'}, 'use_rot'),
        ('PairedImageDataset', {'meta_info': 'a.txt'}, 'meta_info'),
        ('SingleImageDataset', {'io_backend': 'disk'}, 'io_backend'),
        ('SingleImageDataset', {'dataroot_lq': 3}, 'dataroot_lq'),
        ('RealESRGANPairedDataset', {'color': 'y'}, 'color'),
    ],
)
def test_options_of_a_wrong_kind_are_refused(name, change, path):
    roots = {'dataroot_lq': 'a'} | ({} if name.startswith('Single') else {'dataroot_gt': 'b'})
    schema = BASICSR_DATASETS[name]
    assert schema.model_validate(roots).dataroot_lq == 'a'
    with pytest.raises(ValidationError) as caught:
        schema.model_validate(roots | change)
    assert [error['loc'] for error in caught.value.errors()] == [(path,)]


@pytest.mark.parametrize('name', BASICSR_DATASETS)
def test_roots_are_required(name):
    with pytest.raises(ValidationError) as caught:
        BASICSR_DATASETS[name].model_validate({})
    missing = {error['loc'][0] for error in caught.value.errors()}
    assert missing == {'dataroot_lq'} | ({'dataroot_gt'} if 'Pair' in name else set())
