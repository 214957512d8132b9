"""Turning folders of images into a raw store, of which a crop is read without decoding anything.

Every image has its place in ``pixels.bin`` before the first one is decoded, so that any number of
threads write at once, the candidates of an image side by side. A line on each is appended to a
journal after its pixels are on the disk: a run that is killed at any moment continues where it
stopped. The store is made in ``<target>.partial`` and renamed when it is whole and verified.
"""

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from iqasr.data.candidates.group import Group
from iqasr.data.files.image_files import content_hash, decode_rgb
from iqasr.data.files.inspection import in_parallel
from iqasr.data.files.journal import open_journal, read_complete
from iqasr.data.files.readers import FileReader
from iqasr.data.stores.raw_reader import INDEX, PIXELS, RAW_FORMAT, RawImage, RawReader, open_raw
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

_JOURNAL = 'journal.jsonl'


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
    partial, workers = f'{target}.partial', workers or os.cpu_count()
    os.makedirs(partial, exist_ok=True)
    journal = os.path.join(partial, _JOURNAL)
    places = _lay_out(sources, groups, workers)
    images = _read_stored(journal, places)
    todo = [place for source, place in places.items() if source.key not in images]
    refuse_full_disk(partial, sum(place.num_bytes for place in todo))
    try:
        _store(places, images, partial, workers)
        problems = _find_damage(RawReader(partial, images), workers)
        if problems:  # the journal says otherwise
            os.remove(journal)
            raise DataError(problems)
        content = {
            'format': RAW_FORMAT,
            'images': {source.key: images[source.key] for source in sources},
            'groups': [group._asdict() for group in groups],
        }
        write_text_atomically(json.dumps(content), Path(partial, INDEX))
    except (OSError, CheckpointError) as error:
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
    if problems := _find_damage(reader, workers or os.cpu_count()):
        raise DataError(problems)
    return len(reader.images)


def _find_damage(reader: RawReader, workers: int) -> list[str]:
    """Read every image back; returns the problems."""

    def check(key: str) -> None:
        reader.inspect(key, decode=True)

    return in_parallel(check, reader.images, label='verifying', workers=workers)


def _lay_out(
    sources: Sequence[SourceImage], groups: Sequence[Group], workers: int
) -> dict[SourceImage, RawImage]:
    """Find the size and place of every image, before its checksum is known."""
    sizes: dict[str, tuple[int, int]] = {}

    def check(source: SourceImage) -> None:
        sizes[source.key] = FileReader(allow_grey=source.allow_grey).inspect(source.path)

    if problems := in_parallel(check, sources, label='inspecting', workers=workers):
        raise DataError(problems)
    refuse_unequal(groups, sizes)
    places, offset = {}, 0
    for source in sources:
        places[source] = RawImage(offset, *sizes[source.key], checksum=0, content_hash='')
        offset += places[source].num_bytes
    return places


def _read_stored(journal: str, places: Mapping[SourceImage, RawImage]) -> dict[str, RawImage]:
    """Read the entries of unchanged sources in unchanged places."""
    lines = read_complete(journal).split('\n')[:-1]
    last = {key: entry for key, *entry in map(json.loads, lines)}
    return {
        source.key: RawImage(*last[source.key][2:])
        for source, place in places.items()
        if last.get(source.key, [])[:5] == [*source.state, *place[:3]]
    }


def _store(
    places: Mapping[SourceImage, RawImage],
    images: dict[str, RawImage],
    partial: str,
    workers: int,
) -> None:
    """Write the images that have no entry yet into their places, and add their entries."""
    path = Path(partial, PIXELS)
    path.touch()

    def load(source: SourceImage) -> tuple[SourceImage, RawImage]:
        return source, _write(path, source, places[source])

    with path.open('rb+') as pixels, open_journal(Path(partial, _JOURNAL)) as journal:
        pixels.truncate(sum(place.num_bytes for place in places.values()))

        def keep(batch: Sequence[tuple[SourceImage, RawImage]]) -> None:
            os.fsync(pixels.fileno())
            images.update((source.key, image) for source, image in batch)
            lines = [json.dumps([source.key, *source.state, *image]) for source, image in batch]
            journal.write(''.join(f'{line}\n' for line in lines))

        store_in_batches(places, list(images), load, keep, workers)


def _write(path: Path, source: SourceImage, place: RawImage) -> RawImage:
    """Decode an image into its place; returns its entry."""
    data = source.read()
    image = decode_rgb(data, source.path)
    if image.shape[:2] != place[1:3]:
        raise DataError(f'{source.path}: has changed while it was stored. Run this again.')
    planes = np.ascontiguousarray(image.transpose(2, 0, 1)).reshape(-1)
    _put(path, planes, place.offset)
    return place._replace(checksum=zlib.crc32(planes), content_hash=content_hash(data))


def _put(path: Path, data: np.ndarray, offset: int) -> None:
    """Write into a file; one that is opened for it, as Windows has no ``pwrite`` for threads."""
    with path.open('rb+') as file:
        file.seek(offset)
        file.write(data)
