"""Photographs without candidates: each is its own ground truth."""

import os

from iqasr.data.candidates.candidate_folders import ORIGINAL
from iqasr.data.candidates.candidate_set import CandidateSet
from iqasr.data.candidates.group import Group
from iqasr.data.files.image_files import image_names
from iqasr.data.files.readers import FileReader
from iqasr.data.stores.lmdb_reader import LmdbReader, check_lmdb, is_lmdb, read_sizes
from iqasr.runtime.errors import DataError
from iqasr.sampling.labels import Label


def open_originals(root: str, meta_info: str | None = None) -> CandidateSet:
    """Find photographs, as groups that hold nothing but their original.

    Args:
        root: A folder, or an LMDB in BasicSR's form.
        meta_info: A text file with the path of an image in each line, below `root` and up to the
            first blank, as Real-ESRGAN lists them; without it, all images directly in `root`.

    Returns:
        The set.

    Raises:
        DataError: If the folder, the list or an image is missing.
    """
    if not os.path.isdir(root):
        raise DataError(f'{root}: no such folder. Give a folder of photographs, or an LMDB.')
    if is_lmdb(root):
        check_lmdb(root)
        names = sorted(read_sizes(root))
        return CandidateSet(root, [_group(name, name) for name in names], LmdbReader(root))
    names = sorted(image_names(root)) if meta_info is None else read_list(root, meta_info)
    if not names:
        raise DataError(f'{meta_info or root}: holds no image.')
    groups = [_group(os.path.splitext(name)[0], os.path.join(root, name)) for name in names]
    return CandidateSet(root, groups, FileReader())


def read_list(root: str, meta_info: str) -> list[str]:
    """Read which images are used.

    Raises:
        DataError: If there is no list, or an image of it is missing: all of them.
    """
    try:
        with open(meta_info, encoding='utf-8-sig') as lines:
            names = sorted({line.split(' ')[0].strip() for line in lines} - {''})
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f'{meta_info}: cannot be read as a list of images ({error}).') from error
    missing = [name for name in names if not os.path.isfile(os.path.join(root, name))]
    if missing:
        raise DataError(
            [f'{os.path.join(root, name)}: missing, but listed in {meta_info}.' for name in missing]
        )
    return names


def _group(key: str, file: str) -> Group:
    return Group(key, (ORIGINAL,), (file,), (Label.ORIGINAL,), (0,))
