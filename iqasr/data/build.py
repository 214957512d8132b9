"""From the section of an option file to a data set that can be used."""

import logging
from collections.abc import Mapping
from typing import Any

from torch.utils.data import Dataset

from iqasr.data.basicsr_files import build_from_files, reads_files
from iqasr.options.opt import resolve_paths
from iqasr.registry import DATASET_REGISTRY, lookup
from iqasr.runtime.errors import DataError

logger = logging.getLogger('iqasr')


def build_dataset(section: Mapping[str, Any], *, scale: int, phase: str) -> Dataset:
    """Build a data set as BasicSR does, ``cls(opt)``, and check it.

    A method ``check()`` of it is called; it returns problems. BasicSR's own data sets of image
    files are checked here, get defaults for options they insist on, and read a folder in order.

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
        dataset = build_from_files(cls, opt) if reads_files(cls) else cls(opt)
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
