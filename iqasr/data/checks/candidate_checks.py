"""What is wrong with a data set, found before a run meets it."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, TypeVar

from tqdm import tqdm

from iqasr.data.candidates.candidate_set import CandidateSet, Group
from iqasr.data.files.image_files import (
    SUFFIXES,
    decode_rgb,
    file_names,
    image_names,
    inspect_image,
    is_image_name,
)
from iqasr.data.scores.quality_map import QualityMap
from iqasr.data.scores.quality_table import QualityTable

_BAR_AFTER_S = 2.0
_MOST_BATCHES = 256
"""Into which items are divided: one task each would cost more than many a check."""

_T = TypeVar('_T')


def check_candidates(
    candidates: CandidateSet,
    *,
    min_size: int = 1,
    decode: bool = False,
    table: QualityTable | QualityMap | None = None,
) -> list[str]:
    """Check every image of a set of candidates, several at a time.

    Args:
        candidates: The set.
        min_size: Least height and width, in pixels.
        decode: Decode every image, or compare it with its checksum. Otherwise files are looked at
            by their first and last bytes, and images in a store not at all: they were when it was
            made.
        table: Quality of all candidates or their crops; every image is read, to see that it is what
            was scored.

    Returns:
        The problems: images that `inspect_image` refuses, that are too small, that differ in size
        from their original, or that have changed since they were scored.
    """
    reader, found = candidates.reader, {}

    def size_of(file: str, problems: list[str]) -> tuple[int, int] | None:
        try:
            return reader.inspect(file, decode=decode)
        except ValueError as error:
            problems.append(str(error))
            return None

    def check(group: Group) -> list[str]:
        problems: list[str] = []
        files = [file for file in group.files if file is not None]
        sizes = {file: size_of(file, problems) for file in files}
        expected = sizes[group.files[0]]
        for file, size in sizes.items():
            if size is not None and expected is not None and size != expected:
                problems.append(
                    f'{candidates.where(file)}: {in_px(size)}, but its original is '
                    f'{in_px(expected)}. Make all candidates of an image equal in size.'
                )
        if expected is not None and min(expected) < min_size:
            problems.append(
                f'{candidates.where(group.files[0])}: {in_px(expected)}, at least {min_size} px '
                'are needed each way. Remove the group, or ask for smaller crops.'
            )
        if table is not None and not problems:
            problems += _changed(candidates, group, table)
        found.update(sizes)
        return problems

    problems = in_parallel(check, candidates.groups)
    if not problems:
        reader.remember(found)
    return problems


def _changed(candidates: CandidateSet, group: Group, table: QualityTable | QualityMap) -> list[str]:
    return [
        f'{candidates.where(file)}: has changed since it was scored. {table.how_to_update}'
        for name, file in zip(group.names, group.files, strict=True)
        if candidates.reader.content_hash(file) != table.content_hash(group.key, name)
    ]


def check_image_folder(folder: str, *, allow_grey: bool = False, decode: bool = False) -> list[str]:
    """Check every image of a folder; returns problems, as `check_candidates`."""
    if not os.path.isdir(folder):
        return [f'{folder}: no such folder.']
    names = list(image_names(folder))
    if not names:
        return [f'{folder}: holds no image ({", ".join(SUFFIXES)}).']

    def check(name: str) -> list[str]:
        problems: list[str] = []
        size_of_file(os.path.join(folder, name), problems, allow_grey=allow_grey, decode=decode)
        return problems

    return in_parallel(check, names)


def check_other_files(folder: str) -> list[str]:
    """Find what is no image in a folder, all files of which BasicSR would read as images."""
    return [
        f'{os.path.join(folder, name)}: not an image ({", ".join(SUFFIXES)}), but BasicSR reads '
        'all files of a folder. Move it elsewhere.'
        for name in file_names(folder)
        if not is_image_name(name)
    ]


def in_parallel(check: Callable[[_T], list[str]], items: Iterable[_T]) -> list[str]:
    """Check several items at a time.

    The first process shows a bar, if there is a terminal and it takes long.

    Args:
        check: Returns the problems of an item.
        items: The items.

    Returns:
        All problems, in the order of the items.
    """
    items = list(items)
    size = len(items) // _MOST_BATCHES + 1
    batches = [items[first : first + size] for first in range(0, len(items), size)]
    hidden = None if os.environ.get('RANK', '0') == '0' else True
    with ThreadPoolExecutor() as pool:
        found = tqdm(
            pool.map(lambda batch: [p for item in batch for p in check(item)], batches),
            'checking',
            len(batches),
            disable=hidden,
            delay=_BAR_AFTER_S,
        )
        return [problem for problems in found for problem in problems]


def size_of_file(path: str, problems: list[str], **how: bool) -> tuple[int, int] | None:
    """Inspect an image file; None, and one more problem, if it is refused."""
    with open(path, 'rb') as stream:
        return _size(stream, path, problems, **how)


def _size(
    stream: BinaryIO,
    name: str,
    problems: list[str],
    *,
    allow_grey: bool = False,
    decode: bool = False,
) -> tuple[int, int] | None:
    """Inspect an image; None, and one more problem, if it is refused."""
    try:
        size = inspect_image(stream, name, allow_grey=allow_grey)
        if decode:
            stream.seek(0)
            decode_rgb(stream.read(), name)
        return size
    except ValueError as error:
        problems.append(str(error))
        return None


def in_px(size: Sequence[int]) -> str:
    """Write height and width as width x height."""
    return f'{size[1]} x {size[0]} px'
