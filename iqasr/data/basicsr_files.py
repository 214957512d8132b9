"""BasicSR's own data sets of image files: what they insist on, and the order they leave open."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from iqasr.data.checks.file_checks import check_files, listing_of
from iqasr.data.raw_pairs import RawPairs
from iqasr.data.stores.raw_reader import is_raw
from iqasr.options.schema import schema_names
from iqasr.options.sections import LoaderOptions

logger = logging.getLogger('iqasr')


def reads_files(cls: type) -> bool:
    """Tell BasicSR's own data sets, all of which read image files, from any others."""
    return cls.__module__.startswith('basicsr.')


def build_from_files(cls: Callable[[dict[str, Any]], Dataset], opt: Mapping[str, Any]) -> Dataset:
    """Check the files of a data set of BasicSR, and build it.

    Args:
        cls: The class; `RawPairs` takes its place for two raw stores.
        opt: Its section, with ``phase`` and ``scale``; left untouched.

    Raises:
        DataError: If files are unreadable, unsuitable or wrongly paired: all of them.
    """
    opt = {'io_backend': {'type': 'disk'}, 'use_hflip': False, 'use_rot': False, **opt}
    opt['io_backend'] = dict(opt['io_backend'])  # BasicSR takes the type out of it
    drop_missing_list(opt)
    check_files(opt)
    if opt.get('dataroot_gt') and is_raw(opt['dataroot_gt']):
        return raw_pairs(opt)
    dataset = cls(opt)
    if not listing_of(opt) and isinstance(getattr(dataset, 'paths', None), list):
        dataset.paths.sort(key=str)  # BasicSR leaves their order to the file system
    return dataset


def drop_missing_list(opt: dict[str, Any]) -> None:
    """Do without the list of images that BasicSR keeps in its repository, if it is not here."""
    listing = opt.get('meta_info_file')
    if listing and 'basicsr/data/meta_info/' in listing and not Path(listing).is_file():
        logger.warning(
            '%s is not here: all images of %s are used.', listing, opt.get('dataroot_gt')
        )
        del opt['meta_info_file']


def raw_pairs(opt: Mapping[str, Any]) -> RawPairs:
    """Build the data set of two raw stores; whole images unless it trains."""
    known = {*schema_names(RawPairs), *LoaderOptions.model_fields, 'phase'}
    if opt['phase'] != 'train':
        known -= {'gt_size', 'use_hflip', 'use_rot'}
    return RawPairs({k: v for k, v in opt.items() if k in known and v is not None})
