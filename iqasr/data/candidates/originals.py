"""Photographs without candidates: each is its own ground truth."""

import os
from collections.abc import Sequence

from iqasr.data.candidates.candidate_folders import ORIGINAL, find_sets
from iqasr.data.candidates.candidate_set import CandidateSet
from iqasr.data.candidates.group import Group
from iqasr.data.files.image_files import image_paths
from iqasr.data.files.readers import FileReader
from iqasr.data.stores.lmdb_reader import LmdbReader, check_lmdb, is_lmdb, read_sizes
from iqasr.runtime.errors import DataError
from iqasr.sampling.labels import Label


def open_originals(root: str | Sequence[str], meta_info: str | None = None) -> CandidateSet:
    """Find photographs, as groups that hold nothing but their original.

    Args:
        root: A folder, or an LMDB in BasicSR's form; or several folders.
        meta_info: A text file with the path of an image in each line, below the one `root`, as
            Real-ESRGAN lists them: what follows a blank is left out, unless it belongs to the path.
            Without it, all images at any depth of `root`.

    Returns:
        The set. Keys are paths without suffix, relative to `root`; if there are several, to the
        innermost folder that holds all of them.

    Raises:
        DataError: If a folder, the list or an image is missing, or several folders overlap.
    """
    if not isinstance(root, str) and len(root) != 1:
        return _open_several(root, meta_info)
    root = root if isinstance(root, str) else root[0]
    _require_folder(root)
    if is_lmdb(root):
        check_lmdb(root)
        names = sorted(read_sizes(root))
        return CandidateSet(root, [_group(name, name) for name in names], LmdbReader(root))
    names = _photographs(root) if meta_info is None else read_list(root, meta_info)
    if not names:
        raise DataError(f'{meta_info}: holds no image.')
    return _set_of(root, names)


def _open_several(roots: Sequence[str], meta_info: str | None) -> CandidateSet:
    """Find the photographs of several folders."""
    if meta_info is not None:
        raise DataError('meta_info lists the photographs of one folder; dataroot_gt names several.')
    if not roots:
        raise DataError('dataroot_gt names no folder.')
    for root in roots:
        _require_folder(root)
        if is_lmdb(root):
            raise DataError(f'{root}: an LMDB stands alone. Give folders, or one LMDB.')
    real = [os.path.realpath(root) for root in roots]
    for root, own in zip(roots, real, strict=True):
        if sum(os.path.commonpath([own, other]) == other for other in real) > 1:
            raise DataError(f'{root}: named twice, or part of another folder. Leave it out.')
    roots = [os.path.abspath(root) for root in roots]
    common = os.path.commonpath(roots)
    names = [
        os.path.relpath(os.path.join(root, name), common)
        for root in roots
        for name in _photographs(root, {*real} - {os.path.realpath(root)})
    ]
    return _set_of(common, sorted(names))


def _require_folder(root: str) -> None:
    if not os.path.isdir(root):
        raise DataError(f'{root}: no such folder. Give a folder of photographs, or an LMDB.')


def _photographs(root: str, elsewhere: set[str] | None = None) -> list[str]:
    if find_sets(root):
        raise DataError(
            f'{root}: holds candidates, too, not originals alone. Give its folder {ORIGINAL}, or '
            'leave `originals` out.'
        )
    names = image_paths(root, elsewhere)
    if not names:
        raise DataError(f'{root}: holds no image.')
    return names


def _set_of(root: str, names: Sequence[str]) -> CandidateSet:
    groups = [_group(os.path.splitext(name)[0], os.path.join(root, name)) for name in names]
    return CandidateSet(root, groups, FileReader())


def read_list(root: str, meta_info: str, *, up_to_blank: bool = False) -> list[str]:
    """Read which images are used.

    Args:
        root: The folder that their paths are below.
        meta_info: As in `open_originals`.
        up_to_blank: End each path at the first blank, as BasicSR does, even if there is a file of
            that name.

    Raises:
        DataError: If there is no list, or an image of it is missing: all of them.
    """
    try:
        with open(meta_info, encoding='utf-8-sig') as lines:
            listed = {line.strip() for line in lines} - {''}
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f'{meta_info}: cannot be read as a list of images ({error}).') from error

    def path_in(line: str) -> str:
        is_path = not up_to_blank and os.path.isfile(os.path.join(root, line))
        return line if is_path else line.split(' ')[0]

    names = sorted({path_in(line) for line in listed})
    missing = [name for name in names if not os.path.isfile(os.path.join(root, name))]
    if missing:
        raise DataError(
            [f'{os.path.join(root, name)}: missing, but listed in {meta_info}.' for name in missing]
        )
    return names


def _group(key: str, file: str) -> Group:
    return Group(key, (ORIGINAL,), (file,), (Label.ORIGINAL,), (0,))
