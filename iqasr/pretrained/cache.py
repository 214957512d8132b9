"""The cache of weights: fetched and converted once, found by name ever after."""

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

from iqasr.pretrained.catalogue import CATALOGUE, Entry
from iqasr.pretrained.sources import Source, sha256_of
from iqasr.registry import nearest
from iqasr.runtime.atomic_files import save_atomically, save_safetensors
from iqasr.runtime.errors import InputError, MissingWeightsError
from iqasr.runtime.weights import load_file

logger = logging.getLogger('iqasr')


def cache_folder() -> Path:
    """Folder of the cache: ``$IQASR_CACHE``, else ``iqasr`` in ``$XDG_CACHE_HOME`` or ~/.cache."""
    if own := os.environ.get('IQASR_CACHE'):
        return Path(own).expanduser()
    return Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache').expanduser() / 'iqasr'


def is_known(name: str) -> bool:
    """Tell whether there are weights of a name."""
    return name in CATALOGUE


def entry_of(name: str) -> Entry:
    """Look up weights.

    Raises:
        MissingWeightsError: If there are none of that name.
    """
    if name not in CATALOGUE:
        raise MissingWeightsError(
            f"no weights are called '{name}'.{nearest(name, CATALOGUE)} "
            f'There are: {", ".join(CATALOGUE)}.'
        )
    return CATALOGUE[name]


def place_of(entry: Entry) -> Path:
    """Return where the weights of an entry are, or will be."""
    return cache_folder() / f'{entry.name}.safetensors'


def incoming_folder(entry: Entry) -> Path:
    """Return where the source files of an entry are kept until all are there."""
    return cache_folder() / 'incoming' / entry.name


def is_here(entry: Entry) -> bool:
    """Tell whether the weights of an entry are in the cache, whole and made from a known source."""
    path = place_of(entry)
    if not path.is_file():
        return False
    known = {hash_of(source) for source in entry.sources}
    try:
        with safe_open(path, framework='pt') as file:
            found = file.metadata() or {}
    except (SafetensorError, OSError):
        return False
    return found.get('entry') == entry.name and found.get('expected_sha256') in known


def hash_of(source: Source) -> str:
    """Return the published hashes of the files of a source as one text."""
    return ' '.join(file.sha256 for file in source.files)


def find_weights(name: str) -> Path:
    """Find the weights of a name, and fetch them first if they are not here.

    Of several processes one fetches, and the others wait for it.

    Returns:
        A ``.safetensors`` file.

    Raises:
        MissingWeightsError: If there are none of that name, or they cannot be fetched; the message
            says which file to put where.
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
    return load_file(find_weights(name))


@contextmanager
def locked(entry: Entry) -> Iterator[None]:
    """Keep other processes from fetching the same; a killed process frees the lock."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f'.{entry.name}.lock')
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.info('%s: waiting for another process that is fetching it.', entry.name)
            lock.acquire()
    except OSError as error:
        raise MissingWeightsError(
            f'{folder}: cannot be written ({error}). Name another folder in IQASR_CACHE.'
        ) from error
    try:
        yield
    finally:
        lock.release()


def fetch(entry: Entry) -> None:
    """Fetch and convert the weights of an entry from the first source that has them.

    Raises:
        MissingWeightsError: If none has.
    """
    failures = []
    for source in entry.sources:
        logger.info('%s: fetching from %s (%s).', entry.name, source.place, megabytes(source.size))
        try:
            convert(entry, source, source.fetch(incoming_folder(entry)))
            return
        except (InputError, OSError) as error:
            failures.append(f'- {source.place}: {error}')
            logger.warning('%s: %s: %s', entry.name, source.place, error)
    remedies = ', or by '.join(source.remedy for source in entry.sources)
    raise MissingWeightsError(
        f'{entry.name} ({entry.about}) is not on this machine and cannot be fetched.\n'
        + '\n'.join(failures)
        + f'\nOn a machine with network get its file by {remedies}; copy it here and run '
        f'`iqasr-weights import FILE`. Or copy {place_of(entry).name} from the cache of another '
        f'machine to {place_of(entry)}.'
    )


def convert(entry: Entry, source: Source, paths: list[Path]) -> None:
    """Convert source files and put the weights into the cache."""
    metadata = {
        'entry': entry.name,
        'source': source.place,
        'sha256': ' '.join(sha256_of(path) for path in paths),
        'expected_sha256': hash_of(source),
    }
    save_safetensors(source.convert(*paths), place_of(entry), metadata)
    shutil.rmtree(incoming_folder(entry), ignore_errors=True)


def missing_hub_files(entry: Entry) -> list[Path]:
    """List the files that other libraries will look for and not find."""
    hub = Path(torch.hub.get_dir())
    return [hub / path for path in entry.hub_files if not (hub / path).exists()]


def write_hub_files(entry: Entry) -> None:
    """Write the files that other libraries look for, where there are none."""
    missing = missing_hub_files(entry)
    if not missing:
        return
    weights, hub = load_file(place_of(entry)), Path(torch.hub.get_dir())
    for path in missing:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_atomically(entry.hub_files[path.relative_to(hub).as_posix()](weights), path)
        logger.info('%s: also put at %s.', entry.name, path)


def megabytes(size: int | None) -> str:
    """Write a number of bytes for people."""
    if size is None:
        return 'size unknown'
    return f'{size / 1e6:.0f} MB' if size >= 1e6 else f'{size / 1e3:.0f} kB'
