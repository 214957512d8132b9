"""Steps that making an LMDB and making a raw store share."""

import os
import shutil
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from tqdm import tqdm

from iqasr.data.candidates.candidate_folders import find_sets, stems
from iqasr.data.candidates.candidate_set import is_store, open_candidates
from iqasr.data.candidates.group import Group
from iqasr.data.files.inspection import in_px
from iqasr.runtime.errors import DataError
from iqasr.runtime.overlap import ahead

_MOST_BYTES_PER_BATCH, _MOST_IMAGES_PER_BATCH = 64 * 2**20, 256
_AHEAD = 4
"""Images loaded in advance per thread, while a batch is kept."""

_T = TypeVar('_T')


@dataclass(frozen=True)
class SourceImage:
    """An image file on its way into a store."""

    key: str
    path: str
    num_bytes: int
    modified_ns: int
    allow_grey: bool

    @property
    def state(self) -> list[int]:
        """Size and modification time; other ones mean that the file has changed."""
        return [self.num_bytes, self.modified_ns]

    def read(self) -> bytes:
        """Read the file.

        Raises:
            DataError: If it cannot be read.
        """
        try:
            with open(self.path, 'rb') as file:
                return file.read()
        except OSError as error:
            raise DataError(str(error)) from error


def list_sources(source: str, labels: str | None) -> tuple[list[SourceImage], list[Group]]:
    """List the images of a folder.

    Args:
        source: A folder of candidates (see `open_candidates`) or of images.
        labels: Folder of the human judgements, if it is not ``<source>/labels``.

    Returns:
        The images, sorted by key, and the groups as the store will name their files; no groups if
        the folder is flat.

    Raises:
        DataError: If the folder cannot be used: all problems.
    """
    if not os.path.isdir(source) or is_store(source):
        raise DataError(f'{source}: not a folder of images.')
    problems: list[str] = []
    groups = []
    if find_sets(source):
        path_of = {}
        for group in open_candidates(source, labels).groups:
            keys = [f'{group.key}/{name}' for name in group.names]
            path_of |= dict(zip(keys, group.files, strict=True))
            groups.append(group._replace(files=tuple(keys)))
    else:
        if labels is not None:
            problems.append(f'{source}: holds no candidates; leave the labels, {labels}, out.')
        found = stems(source, problems)
        path_of = {stem: os.path.join(source, file) for stem, file in found.items()}
    if problems:
        raise DataError(problems)
    stats = [(key, path_of[key], os.stat(path_of[key])) for key in sorted(path_of)]
    return [
        SourceImage(key, path, stat.st_size, stat.st_mtime_ns, allow_grey=not groups)
        for key, path, stat in stats
    ], groups


def refuse_target(target: str, ending: str, overwrite: bool) -> None:
    """Refuse a target of another name, or one that exists.

    Raises:
        DataError: If the name has another ending.
        FileExistsError: If the target exists and `overwrite` is off.
    """
    if not target.endswith(ending):
        raise DataError(f"{target}: the name of such a store ends in '{ending}'.")
    if os.path.exists(target) and not overwrite:
        raise FileExistsError(f'{target} exists. Choose another name, or pass --overwrite.')


def store_in_batches(
    sources: Collection[SourceImage],
    stored: Collection[str],
    load: Callable[[SourceImage], _T],
    keep: Callable[[Sequence[_T]], None],
    workers: int,
) -> None:
    """Load images by several threads, and keep them batch by batch.

    Args:
        sources: All images of the store.
        stored: Keys of those that are stored already.
        load: Reads an image; a `ValueError` says what is wrong with it.
        keep: Puts a batch on the disk for good.
        workers: Number of threads.

    Raises:
        DataError: With everything that `load` refuses, when the rest is kept.
    """
    todo = [source for source in sources if source.key not in stored]
    problems: list[str] = []
    batch: list[_T] = []
    num_bytes = 0

    def attempt(source: SourceImage) -> tuple[int, _T | None]:
        try:
            return source.num_bytes, load(source)
        except ValueError as error:
            problems.append(str(error))
            return 0, None

    with (
        tqdm(total=len(sources), initial=len(stored), desc='storing', unit='image') as bar,
        ThreadPoolExecutor(workers) as pool,
    ):
        for size, image in ahead(pool, attempt, todo, _AHEAD * workers):
            bar.update()
            batch += [] if image is None else [image]
            num_bytes += size
            if num_bytes > _MOST_BYTES_PER_BATCH or len(batch) == _MOST_IMAGES_PER_BATCH:
                keep(batch)
                batch, num_bytes = [], 0
        keep(batch)
    if problems:
        raise DataError(sorted(problems))


def refuse_unequal(groups: Collection[Group], sizes: dict[str, tuple[int, int]]) -> None:
    """Refuse groups whose candidates differ in size.

    Args:
        groups: The groups.
        sizes: Height and width by file.

    Raises:
        DataError: With all such groups.
    """
    problems = []
    for group in groups:
        if len({sizes[file] for file in group.files}) > 1:
            shown = ', '.join(f'{file} {in_px(sizes[file])}' for file in group.files)
            problems.append(f'{group.key}: its candidates differ in size: {shown}.')
    if problems:
        raise DataError(problems)


def refuse_full_disk(partial: str, needed: int) -> None:
    """Refuse to start what cannot fit.

    Raises:
        OSError: If the disk has fewer bytes free than are needed.
    """
    free = shutil.disk_usage(partial).free
    if needed > free:
        raise OSError(
            f'{partial}: {needed / 1e9:.2f} GB are needed at least, the disk has '
            f'{free / 1e9:.2f} GB free. Free space, or choose a target on another disk.'
        )


def disk_failure(partial: str, error: Exception) -> OSError:
    """Explain why a store could not be written."""
    free = shutil.disk_usage(partial).free
    return OSError(
        f'{partial}: cannot be written ({error}); the disk has {free / 1e9:.3f} GB free. '
        'Free space and run this again: it goes on where it stopped.'
    )


def put_in_place(partial: str, target: str) -> None:
    """Rename a finished store; one of that name is replaced."""
    old = f'{target}.old'
    if os.path.exists(target):
        os.replace(target, old)
    os.replace(partial, target)
    if hasattr(os, 'O_DIRECTORY'):
        folder = os.open(os.path.dirname(os.path.abspath(target)), os.O_DIRECTORY)
        os.fsync(folder)
        os.close(folder)
    shutil.rmtree(old, ignore_errors=True)
