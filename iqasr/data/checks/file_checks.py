"""Check the image files of BasicSR's data sets before a run meets them."""

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from iqasr.data.candidates.originals import read_list
from iqasr.data.checks.candidate_checks import check_image_folder, check_other_files
from iqasr.data.checks.pair_checks import (
    PairRules,
    check_listed_pairs,
    check_pairs,
    check_store_pairs,
)
from iqasr.data.files.image_files import warn_of_nested_images
from iqasr.data.stores.lmdb_reader import check_lmdb, is_lmdb
from iqasr.data.stores.raw_reader import is_raw
from iqasr.runtime.errors import DataError

ROOTS = ('dataroot_gt', 'dataroot_lq')


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
    roots = [opt[key] for key in ROOTS if opt.get(key)]
    missing = [root for root in roots if not Path(root).is_dir()]
    if missing:
        raise DataError(
            f'{", ".join(missing)}: no such folder, neither here nor in the project. Check '
            f'the dataroot options of {opt.get("name", opt["phase"])}.'
        )
    training = opt['phase'] == 'train'
    rules = PairRules(
        opt['scale'],
        exact=training,
        min_size=opt.get('gt_size') or 1 if training else 1,
        allow_grey=not training,
        filename_tmpl=opt.get('filename_tmpl') or '{}',
    )
    if any(map(is_raw, roots)):
        problems = _check_raw_stores(opt, roots, rules)
    elif opt['io_backend']['type'] == 'lmdb':
        problems = _check_lmdbs(roots, rules)
    else:
        problems = _check_folders(opt, roots, rules)
    if problems:
        raise DataError(problems)


def _check_raw_stores(opt: Mapping[str, Any], roots: Sequence[str], rules: PairRules) -> list[str]:
    name = opt.get('name', 'the data set')
    if len(roots) != 2 or not all(map(is_raw, roots)):
        return [
            f'{", ".join(roots)}: a raw store serves as dataroot_gt of MultiGTDataset, or as both '
            f'dataroots of PairedImageDataset. Give {name} two raw stores, folders or LMDBs.'
        ]
    unused = ('color', 'mean', 'std', 'meta_info_file', 'meta_info')
    if extra := [key for key in unused if opt.get(key)]:
        return [f'{name}: {", ".join(extra)} cannot be used with raw stores; use folders.']
    return check_store_pairs(*roots, rules)


def _check_lmdbs(roots: Sequence[str], rules: PairRules) -> list[str]:
    for root in roots:
        if not root.endswith('.lmdb'):
            return [f'{root}: BasicSR reads LMDBs named *.lmdb only. Rename the folder.']
        check_lmdb(root)
    # BasicSR pairs by equal keys, and ignores the template.
    return check_store_pairs(*roots, replace(rules, filename_tmpl='{}')) if roots[1:] else []


def _check_folders(opt: Mapping[str, Any], roots: Sequence[str], rules: PairRules) -> list[str]:
    for root in roots:
        if is_lmdb(root):
            return [f'{root}: is an LMDB. Set io_backend: {{type: lmdb}}.']
    listing = listing_of(opt)
    if listing and Path(listing).is_file():
        with open(listing, 'rb') as file:
            if file.read(3) == codecs.BOM_UTF8:
                return [
                    f'{listing}: begins with a byte-order mark, which BasicSR takes for a part of '
                    'the first name. Save it as UTF-8 without one.'
                ]
    if opt.get('meta_info_file'):
        read_list(roots[0], opt['meta_info_file'], up_to_blank=True)
    if len(roots) != 2:
        problems = [p for r in roots for p in check_image_folder(r, allow_grey=rules.allow_grey)]
    elif opt.get('meta_info'):
        problems = check_listed_pairs(*roots, opt['meta_info'], rules)
    else:
        problems = check_pairs(*roots, rules)
    if not listing:
        for root in roots:
            warn_of_nested_images(root)
        problems += [problem for root in roots for problem in check_other_files(root)]
    return problems
