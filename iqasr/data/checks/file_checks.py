"""Inspect the image files of BasicSR's data sets before anything trains on them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from iqasr.data.candidates.originals import read_list
from iqasr.data.checks.candidate_checks import check_image_folder, check_other_files
from iqasr.data.checks.pair_checks import check_listed_pairs, check_pairs, check_store_pairs
from iqasr.data.stores.lmdb_reader import check_lmdb, is_lmdb
from iqasr.data.stores.raw_reader import is_raw
from iqasr.runtime.errors import DataError


def listing_of(opt: Mapping[str, Any]) -> str | None:
    """Find the file that lists the images; without one, BasicSR takes all files of the folder."""
    return opt.get('meta_info_file') or opt.get('meta_info')


def check_files(opt: Mapping[str, Any]) -> None:
    """Check the images of a data set of BasicSR.

    Args:
        opt: Its section, with ``io_backend``, ``phase``, ``scale`` and absolute paths.

    Raises:
        DataError: With the files that are unreadable, unsuitable or wrongly paired.
    """
    roots = [opt[key] for key in ('dataroot_gt', 'dataroot_lq') if opt.get(key)]
    missing = [root for root in roots if not Path(root).is_dir()]
    if missing:
        raise DataError(
            f'{", ".join(missing)}: no such folder, neither here nor in the project. Check '
            f'the dataroot options of {opt.get("name", opt["phase"])}.'
        )
    training = opt['phase'] == 'train'
    sizes = {'exact': training, 'min_size': opt.get('gt_size') or 1 if training else 1}
    if any(map(is_raw, roots)):
        problems = check_raw_stores(opt, roots, sizes)
    elif opt['io_backend']['type'] == 'lmdb':
        problems = check_lmdbs(opt, roots, sizes)
    else:
        problems = check_folders(opt, roots, sizes)
    if problems:
        raise DataError(problems)


def check_raw_stores(
    opt: Mapping[str, Any], roots: Sequence[str], sizes: Mapping[str, Any]
) -> list[str]:
    """Check two raw stores; returns the problems, as do the checks below.

    Raises:
        DataError: If they are no pair, or not to be read as they are.
    """
    name = opt.get('name', 'the data set')
    if len(roots) != 2 or not all(map(is_raw, roots)):
        raise DataError(
            f'{", ".join(roots)}: a raw store serves as dataroot_gt of MultiGTDataset, or as both '
            f'dataroots of PairedImageDataset. Give {name} two raw stores, folders or LMDBs.'
        )
    unused = ('color', 'mean', 'std', 'meta_info_file', 'meta_info')
    extra = [key for key in unused if opt.get(key)]
    if extra:
        raise DataError(
            f'{name}: {", ".join(extra)} cannot be used with raw stores. Remove it, or use folders.'
        )
    template = opt.get('filename_tmpl') or '{}'
    return check_store_pairs(*roots, opt['scale'], filename_tmpl=template, **sizes)


def check_lmdbs(
    opt: Mapping[str, Any], roots: Sequence[str], sizes: Mapping[str, Any]
) -> list[str]:
    """Check one LMDB, or two that are paired.

    Raises:
        DataError: If one is not whole, or BasicSR would not take it for an LMDB.
    """
    for root in roots:
        if not root.endswith('.lmdb'):
            raise DataError(f'{root}: BasicSR reads LMDBs named *.lmdb only. Rename the folder.')
        check_lmdb(root)
    return check_store_pairs(*roots, opt['scale'], **sizes) if len(roots) == 2 else []


def check_folders(
    opt: Mapping[str, Any], roots: Sequence[str], sizes: Mapping[str, Any]
) -> list[str]:
    """Check one folder, or two that are paired by a list or by the names in them.

    Raises:
        DataError: If one is an LMDB, or the list is wrong.
    """
    for root in roots:
        if is_lmdb(root):
            raise DataError(f'{root}: is an LMDB. Set io_backend: {{type: lmdb}}.')
    if opt.get('meta_info_file'):
        read_list(roots[0], opt['meta_info_file'])
    allow_grey = not sizes['exact']
    if len(roots) != 2:
        problems = [p for root in roots for p in check_image_folder(root, allow_grey=allow_grey)]
    elif opt.get('meta_info'):
        problems = check_listed_pairs(*roots, opt['meta_info'], opt['scale'], **sizes)
    else:
        how = {'filename_tmpl': opt.get('filename_tmpl') or '{}', 'allow_grey': allow_grey}
        problems = check_pairs(*roots, opt['scale'], **how, **sizes)
    if not listing_of(opt):
        problems += [problem for root in roots for problem in check_other_files(root)]
    return problems
