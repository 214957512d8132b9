"""What a store of images is made from, and how it gets into place."""

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass, replace

from iqasr.data.candidates.candidate_folders import find_sets, stems
from iqasr.data.candidates.candidate_set import Group, is_store, open_candidates
from iqasr.runtime.errors import DataError


@dataclass(frozen=True)
class Source:
    """An image file on its way into a store."""

    key: str
    path: str
    num_bytes: int
    modified_ns: int
    allow_grey: bool


def list_sources(source: str, labels: str | None) -> tuple[list[Source], list[Group]]:
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
            groups.append(replace(group, files=tuple(keys)))
    else:
        if labels is not None:
            problems.append(f'{source}: holds no candidates; leave the labels, {labels}, out.')
        found = stems(source, problems)
        path_of = {stem: os.path.join(source, file) for stem, file in found.items()}
    if problems:
        raise DataError(problems)
    stats = [(key, path_of[key], os.stat(path_of[key])) for key in sorted(path_of)]
    return [
        Source(key, path, stat.st_size, stat.st_mtime_ns, allow_grey=not groups)
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
            shown = ', '.join(f'{file} {sizes[file][1]} x {sizes[file][0]}' for file in group.files)
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


def write_durably(folder: str, name: str, text: str) -> None:
    """Write a text file and flush it to the disk."""
    with open(os.path.join(folder, name), 'w', encoding='utf-8') as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


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
