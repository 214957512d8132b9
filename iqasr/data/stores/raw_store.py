"""Turning folders of images into a raw store, of which a crop is read without decoding anything.

Every image has its place in ``pixels.bin`` before the first one is decoded, so that any number of
threads write at once, the candidates of an image side by side. A record of each is appended to a
journal after its pixels are on the disk: a run that is killed at any moment is taken up where it
stopped. The store is made in ``<target>.partial`` and renamed when it is whole and verified.
"""

import json
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from iqasr.data.candidates.candidate_set import Group
from iqasr.data.files.image_files import decode_rgb, inspect_image
from iqasr.data.scores.quality_rows import content_hash
from iqasr.data.stores.raw_reader import FORMAT, INDEX, PIXELS, RawImage, RawReader, open_raw
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

_JOURNAL = 'journal.jsonl'
_IMAGES_PER_BATCH = 256

_T, _R = TypeVar('_T'), TypeVar('_R')


def create_raw_store(
    source: str,
    target: str,
    labels: str | None = None,
    *,
    workers: int | None = None,
    overwrite: bool = False,
) -> int:
    """Make a raw store of candidate ground truths, or of a flat folder of images.

    Args:
        source: A folder of candidates (see `open_candidates`) or of images.
        target: The store to make; ends in ``.raw``.
        labels: Folder of the human judgements, if it is not ``<source>/labels``.
        workers: Number of threads; default one per core.
        overwrite: Replace a target that exists.

    Returns:
        Number of images stored.

    Raises:
        DataError: If an image is refused, or what was written does not read back: all of them.
            What was stored is kept.
        FileExistsError: If the target exists and `overwrite` is off.
        OSError: If the disk is too full. What was stored is kept.
    """
    refuse_target(target, '.raw', overwrite)
    sources, groups = list_sources(source, labels)
    partial = f'{target}.partial'
    journal = os.path.join(partial, _JOURNAL)
    os.makedirs(partial, exist_ok=True)
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        places = _lay_out(sources, groups, pool)
        images = _recorded(journal, places)
        todo = [place for source, place in places.items() if source.key not in images]
        refuse_full_disk(partial, sum(place.num_bytes for place in todo))
        try:
            _store(places, images, partial, pool)
            _verify(RawReader(partial, images), pool, journal)
            content = {
                'format': FORMAT,
                'images': {source.key: images[source.key] for source in sources},
                'groups': [asdict(group) for group in groups],
            }
            write_durably(partial, INDEX, json.dumps(content))
        except OSError as error:
            raise disk_failure(partial, error) from error
    os.remove(journal)
    put_in_place(partial, target)
    return len(sources)


def verify_raw_store(path: str, workers: int | None = None) -> int:
    """Compare every image of a raw store with its checksum.

    Args:
        path: The store's folder.
        workers: Number of threads; default one per core.

    Returns:
        Number of images.

    Raises:
        DataError: If the store is not whole, or images are damaged: all of them.
    """
    reader, _ = open_raw(path)
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        _verify(reader, pool)
    return len(reader.images)


def _lay_out(
    sources: Sequence[Source], groups: Sequence[Group], pool: ThreadPoolExecutor
) -> dict[Source, RawImage]:
    """Find the size and place of every image, before its checksum is known."""
    sizes = _all(pool, _size_of, sources, 'inspecting')
    refuse_unequal(groups, {s.key: size for s, size in zip(sources, sizes, strict=True)})
    places, offset = {}, 0
    for source, (height, width) in zip(sources, sizes, strict=True):
        places[source] = RawImage(offset, height, width, checksum=0, content_hash='')
        offset += places[source].num_bytes
    return places


def _size_of(source: Source) -> tuple[int, int]:
    with open(source.path, 'rb') as stream:
        return inspect_image(stream, source.path, allow_grey=source.allow_grey)


def _recorded(journal: str, places: Mapping[Source, RawImage]) -> dict[str, RawImage]:
    """Read the entries of unchanged sources in unchanged places; a line cut short is removed."""
    if not os.path.exists(journal):
        return {}
    with open(journal, 'rb+') as file:
        content = file.read()
        file.truncate(content.rfind(b'\n') + 1)
    last = {key: entry for key, *entry in map(json.loads, content.split(b'\n')[:-1])}
    return {
        source.key: RawImage(*last[source.key][2:])
        for source, place in places.items()
        if last.get(source.key, [])[:5] == [source.num_bytes, source.modified_ns, *place[:3]]
    }


def _store(
    places: Mapping[Source, RawImage],
    images: dict[str, RawImage],
    partial: str,
    pool: ThreadPoolExecutor,
) -> None:
    """Write the images that have no entry yet into their places, and add their entries."""
    todo = [(source, place) for source, place in places.items() if source.key not in images]
    path = Path(partial, PIXELS)
    path.touch()
    problems: list[str] = []
    with (
        path.open('rb+') as pixels,
        open(os.path.join(partial, _JOURNAL), 'a', encoding='utf-8') as journal,
        tqdm(total=len(places), initial=len(images), desc='storing', unit='image') as bar,
    ):
        pixels.truncate(sum(place.num_bytes for place in places.values()))
        for start in range(0, len(todo), _IMAGES_PER_BATCH):
            batch = todo[start : start + _IMAGES_PER_BATCH]
            written = list(pool.map(lambda pair: _write(path, *pair), batch))
            os.fsync(pixels.fileno())
            for (source, _), image in zip(batch, written, strict=True):
                if isinstance(image, str):
                    problems.append(image)
                    continue
                images[source.key] = image
                identity = [source.key, source.num_bytes, source.modified_ns]
                journal.write(json.dumps([*identity, *image]) + '\n')
            journal.flush()
            bar.update(len(batch))
    if problems:
        raise DataError(problems)


def _write(path: Path, source: Source, place: RawImage) -> RawImage | str:
    """Decode an image into its place; returns its entry, or what is wrong with it."""
    try:
        with open(source.path, 'rb') as stream:
            data = stream.read()
        image = decode_rgb(data, source.path)
    except (OSError, ValueError) as error:
        return str(error)
    if image.shape[:2] != place[1:3]:
        return f'{source.path}: has changed while it was stored. Run this again.'
    planes = np.ascontiguousarray(image.transpose(2, 0, 1)).reshape(-1)
    _put(path, planes, place.offset)
    return place._replace(checksum=zlib.crc32(planes), content_hash=content_hash(data))


def _put(path: Path, data: np.ndarray, offset: int) -> None:
    """Write into a file; one that is opened for it, as Windows has no ``pwrite`` for threads."""
    with path.open('rb+') as file:
        file.seek(offset)
        file.write(data)


def _verify(reader: RawReader, pool: ThreadPoolExecutor, journal: str | None = None) -> None:
    """Read every image back; if one is damaged, a journal that says otherwise is removed."""
    try:
        _all(pool, lambda key: reader.inspect(key, decode=True), list(reader.images), 'verifying')
    except DataError:
        if journal is not None:
            os.remove(journal)
        raise


def _all(
    pool: ThreadPoolExecutor, work: Callable[[_T], _R], items: Sequence[_T], what: str
) -> list[_R]:
    """Do some work on all items; raise all problems together."""
    problems: list[str] = []

    def attempt(item: _T) -> _R | None:
        try:
            return work(item)
        except ValueError as error:
            problems.append(str(error))
            return None

    done = list(tqdm(pool.map(attempt, items), what, len(items), unit='image', delay=2.0))
    if problems:
        raise DataError(sorted(problems))
    return done
