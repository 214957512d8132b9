"""Turning folders of images into an LMDB that stock BasicSR reads too.

The LMDB is made in ``<target>.partial`` and renamed when it is whole. Every batch of images is
stored in one transaction with a record of its sources, so that a run that is killed at any moment
continues where it stopped.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import lmdb

from iqasr.data.candidates.group import Group
from iqasr.data.files.image_files import conversion_to_srgb, decode_rgb, inspect_with_profile
from iqasr.data.stores.lmdb_reader import DATA, GROUPS, META_INFO
from iqasr.data.stores.store_steps import (
    SourceImage,
    disk_failure,
    list_sources,
    put_in_place,
    refuse_full_disk,
    refuse_target,
    refuse_unequal,
    store_in_batches,
)
from iqasr.runtime.atomic_files import write_text_atomically
from iqasr.runtime.errors import CheckpointError, DataError

COMPRESSION = 1
"""Level of PNG, where images are encoded here."""

_RECORDS = b'iqasr: records of sources'
_LONGEST_KEY = 511
_SPARE_BYTES = 16 * 2**20
_PNG_SIGNATURE = b'\x89PNG'
_PNG_COLOUR_TYPE, _PNG_INTERLACE, _PNG_GREY = 25, 28, 0


class StoredPNG(NamedTuple):
    """A note on a stored image, kept in the LMDB while it is made."""

    num_bytes: int
    """Size of its source file."""
    modified_ns: int
    """Modification time of the source."""
    height: int
    width: int
    channels: int


def create_lmdb(
    source: str,
    target: str,
    labels: str | None = None,
    *,
    workers: int | None = None,
    overwrite: bool = False,
) -> int:
    """Make an LMDB of candidate ground truths, or of a flat folder of images.

    PNG files are stored as they are, others decoded and stored as PNG. A set of candidates takes
    its groups and labels along (``groups.json``).

    Args:
        source: A folder of candidates (see `open_candidates`) or of images.
        target: The LMDB to make; ends in ``.lmdb``.
        labels: Folder of the human judgements, if it is not ``<source>/labels``.
        workers: Number of reading threads; default one per core.
        overwrite: Replace a target that exists.

    Returns:
        Number of images stored.

    Raises:
        DataError: If an image or a name is refused: all of them. What was stored is kept.
        FileExistsError: If the target exists and `overwrite` is off.
        OSError: If the disk is too full. What was stored is kept.
    """
    refuse_target(target, '.lmdb', overwrite)
    sources, groups = list_sources(source, labels)
    _refuse_keys(sources)
    partial = f'{target}.partial'
    os.makedirs(partial, exist_ok=True)
    try:
        stored = _store(sources, partial, workers or os.cpu_count())
        _complete(partial, stored, groups)
    except (lmdb.Error, CheckpointError) as error:  # a full disk may show as any of several
        raise disk_failure(partial, error) from error
    put_in_place(partial, target)
    return len(sources)


def _refuse_keys(sources: Sequence[SourceImage]) -> None:
    problems = [
        f"{source.path}: its LMDB key would be '{source.key}', which BasicSR cannot read. Use a "
        'shorter name of ASCII letters without a dot.'
        for source in sources
        if not source.key.isascii() or '.' in source.key or len(source.key) > _LONGEST_KEY
    ]
    if problems:
        raise DataError(problems)


def _store(sources: Sequence[SourceImage], partial: str, workers: int) -> dict[str, StoredPNG]:
    """Store what is not stored yet; returns the notes of all by key."""
    map_size = _SPARE_BYTES + sum(source.num_bytes * 6 // 5 + 8192 for source in sources)
    with lmdb.open(partial, map_size=map_size, max_dbs=1) as environment:
        stored = _read_stored(environment, sources)
        refuse_full_disk(partial, sum(s.num_bytes for s in sources if s.key not in stored))

        def keep(batch: Sequence[tuple[str, bytes, StoredPNG]]) -> None:
            _write(environment, batch)
            stored.update((key, note) for key, _, note in batch)

        store_in_batches(sources, list(stored), _load, keep, workers)
    return stored


def _read_stored(
    environment: lmdb.Environment, sources: Sequence[SourceImage]
) -> dict[str, StoredPNG]:
    """Read the notes of unchanged sources; remove what is stored of any other."""
    current = {source.key: source.state for source in sources}
    table = environment.open_db(_RECORDS)
    with environment.begin(write=True) as transaction:
        notes = {
            key.decode(): json.loads(value) for key, value in transaction.cursor(table).iternext()
        }
        kept = {
            key: StoredPNG(*note) for key, note in notes.items() if note[:2] == current.get(key)
        }
        for key in notes.keys() - kept.keys():
            transaction.delete(key.encode())
            transaction.delete(key.encode(), db=table)
    return kept


def _load(source: SourceImage) -> tuple[str, bytes, StoredPNG]:
    """Read an image as PNG; returns its key, bytes and note."""
    data = source.read()
    size, profile = inspect_with_profile(data, source.path, allow_grey=source.allow_grey)
    height, width = size
    is_plain = data.startswith(_PNG_SIGNATURE) and not data[_PNG_INTERLACE]
    if not is_plain or conversion_to_srgb(profile, source.path) is not None:
        image = cv2.cvtColor(decode_rgb(data, source.path), cv2.COLOR_RGB2BGR)
        _, encoded = cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, COMPRESSION])
        data = encoded.tobytes()
    channels = 1 if data[_PNG_COLOUR_TYPE] == _PNG_GREY else 3
    return source.key, data, StoredPNG(*source.state, height, width, channels)


def _write(environment: lmdb.Environment, batch: Sequence[tuple[str, bytes, StoredPNG]]) -> None:
    table = environment.open_db(_RECORDS)
    while True:
        try:
            with environment.begin(write=True) as transaction:
                for key, data, note in batch:
                    transaction.put(key.encode(), data)
                    transaction.put(key.encode(), json.dumps(note).encode(), db=table)
            return
        except lmdb.MapFullError:
            environment.set_mapsize(environment.info()['map_size'] * 2)


def _complete(partial: str, stored: Mapping[str, StoredPNG], groups: Sequence[Group]) -> None:
    """Verify that the LMDB is whole, and write the text files beside the images."""
    refuse_unequal(groups, {key: (note.height, note.width) for key, note in stored.items()})
    data = os.path.join(partial, DATA)
    map_size = os.path.getsize(data) + _SPARE_BYTES
    with lmdb.open(partial, map_size=map_size, max_dbs=1) as environment:
        with environment.begin(write=True) as transaction:
            transaction.drop(environment.open_db(_RECORDS, transaction))
            count = transaction.stat()['entries']
        expected_bytes = (environment.info()['last_pgno'] + 1) * environment.stat()['psize']
    if count != len(stored):
        raise DataError(f'{partial}: holds {count} images instead of {len(stored)}. Remove it.')
    if os.path.getsize(data) < expected_bytes:  # freed pages at the end were never written
        os.truncate(data, expected_bytes)
    if groups:
        content = json.dumps({'groups': [group._asdict() for group in groups]})
        write_text_atomically(content, Path(partial, GROUPS))
    lines = [
        f'{key}.png ({note.height},{note.width},{note.channels}) {COMPRESSION}\n'
        for key, note in sorted(stored.items())
    ]
    write_text_atomically(''.join(lines), Path(partial, META_INFO))
