"""From the section of an option file to a data set that can be used."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.data import ConcatDataset, Dataset

from iqasr.data.checks.file_checks import ROOTS, check_files, listing_of
from iqasr.data.raw_pairs import RawPairs
from iqasr.data.stores.raw_reader import is_raw
from iqasr.options.opt import resolve_paths
from iqasr.options.schema import schema_names
from iqasr.options.sections import LoaderOptions
from iqasr.registry import DATASET_REGISTRY, lookup
from iqasr.runtime.errors import DataError

logger = logging.getLogger('iqasr')


def build_dataset(section: Mapping[str, Any], *, scale: int, phase: str) -> Dataset:
    """Build a data set as BasicSR does, ``cls(opt)``, and check it.

    If it has a method ``check(decode=False)``, that is called; it returns problems. The files of
    BasicSR's own data sets are checked here; two raw stores are read by `RawPairs`, and pairs of
    several folders are joined.

    Args:
        section: Its checked section, with the loader's options.
        scale: Up-sampling factor.
        phase: ``train``, ``val`` or ``test``.

    Raises:
        DataError: If the data cannot be used; the message lists the files.
        OptionError: If the class refuses its options.
    """
    opt = {'name': phase} | resolve_paths(section) | {'phase': phase, 'scale': scale}
    cls = lookup(DATASET_REGISTRY, opt['type'])
    try:
        reads_files = cls.__module__.startswith('basicsr.')
        dataset = _join_folders(cls, opt) if reads_files else cls(opt)
    except (KeyError, TypeError, AssertionError) as error:
        raise DataError(f'{opt["type"]} cannot be built from its options: {error!r}.') from error
    if hasattr(dataset, 'dropped'):
        text = '%s: %d images; %d without an allowed candidate are left out.'
        logger.info(text, opt['name'], len(dataset), dataset.dropped)
    if problems := dataset.check() if hasattr(dataset, 'check') else []:
        raise DataError(problems)
    if len(dataset) == 0:
        raise DataError(f'{opt.get("dataroot_gt", opt["name"])}: holds no images.')
    return dataset


def _join_folders(cls: type[Dataset], opt: Mapping[str, Any]) -> Dataset:
    """Build a data set of BasicSR; of lists of folders, one after the other, a single one."""
    roots = [opt.get(key) for key in ROOTS]
    if not any(isinstance(root, list) for root in roots):
        return _build_basicsr(cls, opt)
    datasets, problems = [], []
    for folders in zip(*roots, strict=True):
        try:
            datasets.append(_build_basicsr(cls, {**opt, **dict(zip(ROOTS, folders, strict=True))}))
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    joined = ConcatDataset(datasets)
    joined.paths = [path for dataset in datasets for path in getattr(dataset, 'paths', [])]
    return joined


def _build_basicsr(cls: type[Dataset], opt: Mapping[str, Any]) -> Dataset:
    """Build one of BasicSR's data sets of image files, all of which its own ones are."""
    opt = {'io_backend': {'type': 'disk'}, 'use_hflip': False, 'use_rot': False, **opt}
    opt['io_backend'] = dict(opt['io_backend'])  # BasicSR takes the type out of it
    _drop_missing_list(opt)
    check_files(opt)
    if opt.get('dataroot_gt') and is_raw(opt['dataroot_gt']):
        return _build_raw_pairs(opt)
    dataset = cls(opt)
    if not listing_of(opt) and isinstance(getattr(dataset, 'paths', None), list):
        dataset.paths.sort(key=str)  # BasicSR leaves their order to the file system
    return dataset


def _drop_missing_list(opt: dict[str, Any]) -> None:
    """Do without the list of images that BasicSR keeps in its repository, if it is not here."""
    listing = opt.get('meta_info_file')
    if listing and 'basicsr/data/meta_info/' in listing and not Path(listing).is_file():
        root = opt.get('dataroot_gt')
        logger.warning('%s is not here: all images of %s are used.', listing, root)
        del opt['meta_info_file']


def _build_raw_pairs(opt: Mapping[str, Any]) -> RawPairs:
    known = {*schema_names(RawPairs), *LoaderOptions.model_fields, 'phase'}
    if opt['phase'] != 'train':  # whole images
        known -= {'gt_size', 'use_hflip', 'use_rot'}
    return RawPairs({k: v for k, v in opt.items() if k in known and v is not None})
