"""Check pairs of ground truth and low-quality input before a run meets them."""

import os
from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

from iqasr.data.files.image_files import SUFFIXES, image_names
from iqasr.data.files.inspection import in_parallel, in_px, size_of_file
from iqasr.data.stores.lmdb_reader import read_sizes
from iqasr.data.stores.raw_reader import is_raw, open_raw

Size: TypeAlias = tuple[int, int]
"""Height and width."""


def check_pairs(
    gt_folder: str,
    lq_folder: str,
    scale: int,
    *,
    exact: bool,
    filename_tmpl: str = '{}',
    min_size: int = 1,
    allow_grey: bool = True,
) -> list[str]:
    """Check a paired data set of two folders.

    Args:
        gt_folder: Ground truths.
        lq_folder: Low-quality inputs.
        scale: Up-sampling factor.
        exact: Ask that each GT is exactly `scale` times its LQ; otherwise that the LQ has the size
            of the GT divided by `scale` and rounded down.
        filename_tmpl: Name of an LQ, without suffix, made from that of its GT, as in BasicSR.
        min_size: Least height and width of a GT, in pixels.
        allow_grey: Accept greyscale images.

    Returns:
        The problems: images without partner, of the wrong size, or that `inspect_image` refuses.
    """
    absent = [folder for folder in (gt_folder, lq_folder) if not os.path.isdir(folder)]
    if absent:
        return [f'{folder}: no such folder.' for folder in absent]
    partner = {}
    for name in image_names(gt_folder):
        stem, suffix = os.path.splitext(name)
        partner[name] = filename_tmpl.format(stem) + suffix
    lq_names = set(image_names(lq_folder))
    problems = _alone(gt_folder, lq_folder, partner, lq_names)
    if not partner:
        problems.append(f'{gt_folder}: holds no image ({", ".join(SUFFIXES)}).')
    pairs = [
        (os.path.join(gt_folder, gt), os.path.join(lq_folder, lq))
        for gt, lq in partner.items()
        if lq in lq_names
    ]
    return problems + _check_files(
        pairs, scale, exact=exact, min_size=min_size, allow_grey=allow_grey
    )


def check_listed_pairs(
    gt_root: str, lq_root: str, listing: str, scale: int, *, exact: bool, min_size: int = 1
) -> list[str]:
    """Check the pairs that a file lists, as Real-ESRGAN does.

    Args:
        gt_root: Folder that the paths of the ground truths start from.
        lq_root: The same of the low-quality inputs.
        listing: Text file with ``<gt>, <lq>`` in each line.
        scale: As in `check_pairs`, as are the others.
        exact: Ask for exact sizes.
        min_size: Least height and width of a GT, in pixels.

    Returns:
        The problems.
    """
    try:
        with open(listing, encoding='utf-8') as lines:
            pairs = [line.strip().split(', ') for line in lines]
    except (OSError, UnicodeDecodeError) as error:
        return [f'{listing}: cannot be read as a list of pairs ({error}).']
    wrong = [number for number, pair in enumerate(pairs, 1) if len(pair) != 2]
    if wrong or not pairs:
        lines = ', '.join(map(str, wrong)) or 'none'
        return [f'{listing}: write a pair in each line, as `gt.png, lq.png`. Wrong lines: {lines}.']
    paths = [(os.path.join(gt_root, gt), os.path.join(lq_root, lq)) for gt, lq in pairs]
    missing = {p for pair in paths for p in pair if not os.path.isfile(p)}
    there = [pair for pair in paths if not missing & set(pair)]
    return [f'{path}: missing, but listed in {listing}.' for path in sorted(missing)] + (
        _check_files(there, scale, exact=exact, min_size=min_size)
    )


def check_store_pairs(
    gt_store: str,
    lq_store: str,
    scale: int,
    *,
    exact: bool,
    filename_tmpl: str = '{}',
    min_size: int = 1,
) -> list[str]:
    """Check a paired data set of two LMDBs or two raw stores by the sizes they list.

    Args:
        gt_store: Ground truths; whole, as is the other.
        lq_store: Low-quality inputs.
        scale: As in `check_pairs`, as are the others.
        exact: Ask for exact sizes.
        filename_tmpl: Key of an LQ made from that of its GT.
        min_size: Least height and width of a GT, in pixels.

    Returns:
        The problems: images without partner, or of the wrong size.
    """
    gt_sizes, lq_sizes = _sizes_in(gt_store), _sizes_in(lq_store)
    partner = {key: filename_tmpl.format(key) for key in gt_sizes}
    problems = _alone(gt_store, lq_store, partner, lq_sizes.keys())
    for gt, lq in sorted(partner.items()):
        if lq in lq_sizes:
            pair = os.path.join(gt_store, gt), os.path.join(lq_store, lq)
            sizes = gt_sizes[gt], lq_sizes[lq]
            problems += _check_sizes(pair, *sizes, scale, exact=exact, min_size=min_size)
    return problems


def _sizes_in(store: str) -> dict[str, Size]:
    if not is_raw(store):
        return read_sizes(store)
    return {key: (image.height, image.width) for key, image in open_raw(store)[0].images.items()}


def _alone(
    gt_root: str, lq_root: str, partner: Mapping[str, str], lq_names: Collection[str]
) -> list[str]:
    """Report images without partner; `partner` is the name of the LQ by that of the GT."""
    problems = [
        f'{os.path.join(lq_root, name)}: missing. It is the LQ of {os.path.join(gt_root, gt)}.'
        for gt, name in partner.items()
        if name not in lq_names
    ]
    problems += [
        f'{os.path.join(lq_root, name)}: has no GT in {gt_root}. Add it, or remove the LQ.'
        for name in sorted(set(lq_names) - set(partner.values()))
    ]
    return problems


def _check_files(
    pairs: Iterable[tuple[str, str]],
    scale: int,
    *,
    exact: bool,
    min_size: int,
    allow_grey: bool = False,
) -> list[str]:
    def check(pair: tuple[str, str]) -> list[str]:
        problems: list[str] = []
        gt, lq = (size_of_file(path, problems, allow_grey=allow_grey) for path in pair)
        if gt is None or lq is None:
            return problems
        return _check_sizes(pair, gt, lq, scale, exact=exact, min_size=min_size)

    return in_parallel(check, pairs)


def _check_sizes(
    pair: tuple[str, str], gt: Size, lq: Size, scale: int, *, exact: bool, min_size: int
) -> list[str]:
    problems = []
    enlarged = lq[0] * scale, lq[1] * scale
    if lq != (gt[0] // scale, gt[1] // scale) or (exact and gt != enlarged):
        found = gt[0] // lq[0]
        is_other = found > 0 and gt == (lq[0] * found, lq[1] * found)
        change = f', or set scale: {found}' if is_other else ''
        problems.append(
            f'{pair[0]}: {in_px(gt)}, but its LQ {pair[1]} is {in_px(lq)}, which does not '
            f'fit scale {scale}. Make the GT {in_px(enlarged)}{change}.'
        )
    if min(gt) < min_size:
        problems.append(
            f'{pair[0]}: {in_px(gt)}, at least {min_size} px are needed each way. Remove the '
            'pair, or lower gt_size.'
        )
    return problems
