"""Turning folders of images into an LMDB that stock BasicSR reads too.

The LMDB is made in ``<target>.partial`` and renamed when it is whole. Every batch of images is
stored in one transaction with a record of its sources, so that a run that is killed at any moment
is taken up where it stopped.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from typing import TypeAlias

import cv2
import lmdb
from tqdm import tqdm

from iqasr.data.candidates.candidate_set import Group
from iqasr.data.files.image_files import decode_rgb, inspect_image
from iqasr.data.stores.lmdb_reader import DATA, GROUPS, META_INFO
from iqasr.data.stores.store_sources import (
    Source,
    disk_failure,
    list_sources,
    put_in_place,
    refuse_full_disk,
    refuse_target,
    refuse_unequal,
    write_durably,
)
from iqasr.runtime.errors import DataError

COMPRESSION = 1
"""Of PNG, where images are encoded here."""

_RECORDS = b'iqasr: records of sources'
_MOST_BYTES_PER_BATCH, _MOST_IMAGES_PER_BATCH = 64 * 2**20, 256
_LONGEST_KEY = 511
_SPARE_BYTES = 16 * 2**20
_PNG_SIGNATURE = b'\x89PNG'
_PNG_COLOUR_TYPE, _PNG_INTERLACE, _PNG_GREY = 25, 28, 0

Record: TypeAlias = list[int]
"""Of a stored image: size and modification time of its source, height, width, channels."""

Loaded: TypeAlias = tuple[str, bytes, Record] | str
"""Key, PNG bytes and record of an image, or what is wrong with it."""


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
        records = _store(sources, partial, workers or os.cpu_count())
        _describe(partial, records, groups)
    except lmdb.Error as error:  # a full disk may show as any of several
        raise disk_failure(partial, error) from error
    put_in_place(partial, target)
    return len(sources)


def _refuse_keys(sources: Sequence[Source]) -> None:
    problems = [
        f"{source.path}: its LMDB key would be '{source.key}', which BasicSR cannot read. Use a "
        'shorter name of ASCII letters without a dot.'
        for source in sources
        if not source.key.isascii() or '.' in source.key or len(source.key) > _LONGEST_KEY
    ]
    if problems:
        raise DataError(problems)


def _store(sources: Sequence[Source], partial: str, workers: int) -> dict[str, Record]:
    """Store what is not stored yet; returns the records of all."""
    map_size = _SPARE_BYTES + sum(source.num_bytes * 6 // 5 + 8192 for source in sources)
    with lmdb.open(partial, map_size=map_size, max_dbs=1) as environment:
        records = _recorded(environment, sources)
        todo = [source for source in sources if source.key not in records]
        refuse_full_disk(partial, sum(source.num_bytes for source in todo))
        problems: list[str] = []
        with (
            tqdm(total=len(sources), initial=len(records), desc='storing', unit='image') as bar,
            ThreadPoolExecutor(workers) as pool,
        ):
            for batch in _loaded(pool, todo):
                images = [loaded for loaded in batch if not isinstance(loaded, str)]
                problems += [loaded for loaded in batch if isinstance(loaded, str)]
                _write(environment, images)
                records |= {key: record for key, _, record in images}
                bar.update(len(batch))
    if problems:
        raise DataError(problems)
    return records


def _recorded(environment: lmdb.Environment, sources: Sequence[Source]) -> dict[str, Record]:
    """Read the records of unchanged sources; forget what is stored of any other."""
    current = {source.key: [source.num_bytes, source.modified_ns] for source in sources}
    table = environment.open_db(_RECORDS)
    with environment.begin(write=True) as transaction:
        stored = {
            key.decode(): json.loads(value) for key, value in transaction.cursor(table).iternext()
        }
        records = {key: record for key, record in stored.items() if record[:2] == current.get(key)}
        for key in stored.keys() - records.keys():
            transaction.delete(key.encode())
            transaction.delete(key.encode(), db=table)
    return records


def _loaded(pool: ThreadPoolExecutor, todo: Sequence[Source]) -> Iterator[list[Loaded]]:
    """Read batch after batch, the next one while the caller writes."""
    ahead: list[Future[Loaded]] = []
    for batch in _batches(todo):
        coming = [pool.submit(_load, source) for source in batch]
        yield [future.result() for future in ahead]
        ahead = coming
    yield [future.result() for future in ahead]


def _batches(todo: Sequence[Source]) -> Iterator[list[Source]]:
    batch: list[Source] = []
    num_bytes = 0
    for source in todo:
        batch.append(source)
        num_bytes += source.num_bytes
        if num_bytes > _MOST_BYTES_PER_BATCH or len(batch) == _MOST_IMAGES_PER_BATCH:
            yield batch
            batch, num_bytes = [], 0
    yield batch


def _load(source: Source) -> Loaded:
    """Read an image as PNG; returns its key, bytes and record, or what is wrong with it."""
    try:
        with open(source.path, 'rb') as file:
            data = file.read()
        height, width = inspect_image(data, source.path, allow_grey=source.allow_grey)
        if not data.startswith(_PNG_SIGNATURE) or data[_PNG_INTERLACE]:
            image = cv2.cvtColor(decode_rgb(data, source.path), cv2.COLOR_RGB2BGR)
            _, encoded = cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, COMPRESSION])
            data = encoded.tobytes()
    except (OSError, ValueError) as error:
        return str(error)
    channels = 1 if data[_PNG_COLOUR_TYPE] == _PNG_GREY else 3
    return source.key, data, [source.num_bytes, source.modified_ns, height, width, channels]


def _write(environment: lmdb.Environment, images: Sequence[tuple[str, bytes, Record]]) -> None:
    table = environment.open_db(_RECORDS)
    while True:
        try:
            with environment.begin(write=True) as transaction:
                for key, data, record in images:
                    transaction.put(key.encode(), data)
                    transaction.put(key.encode(), json.dumps(record).encode(), db=table)
            return
        except lmdb.MapFullError:
            environment.set_mapsize(environment.info()['map_size'] * 2)


def _describe(partial: str, records: Mapping[str, Record], groups: Sequence[Group]) -> None:
    """Verify that the LMDB is whole, and write what stands beside the images."""
    refuse_unequal(groups, {key: tuple(record[2:4]) for key, record in records.items()})
    data = os.path.join(partial, DATA)
    map_size = os.path.getsize(data) + _SPARE_BYTES
    with lmdb.open(partial, map_size=map_size, max_dbs=1) as environment:
        with environment.begin(write=True) as transaction:
            transaction.drop(environment.open_db(_RECORDS, transaction))
            stored = transaction.stat()['entries']
        expected_bytes = (environment.info()['last_pgno'] + 1) * environment.stat()['psize']
    if stored != len(records):
        raise DataError(f'{partial}: holds {stored} images instead of {len(records)}. Remove it.')
    if os.path.getsize(data) < expected_bytes:  # freed pages at the end were never written
        os.truncate(data, expected_bytes)
    if groups:
        write_durably(partial, GROUPS, json.dumps({'groups': [asdict(group) for group in groups]}))
    lines = [
        f'{key}.png ({height},{width},{channels}) {COMPRESSION}\n'
        for key, (_, _, height, width, channels) in sorted(records.items())
    ]
    write_durably(partial, META_INFO, ''.join(lines))
