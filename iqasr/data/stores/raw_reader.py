"""Reading the raw stores that `iqasr.data.stores.raw_store` makes.

A raw store is a folder of two files. ``pixels.bin`` holds the images one after the other, each
as its red, green and blue plane, so that a crop is a slice and comes out as networks take it.
``index.json`` says where each image lies, what its checksum is, and which images are candidates
of each other.
"""

import json
import mmap
import os
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from iqasr.data.candidates.group import Group, group_from_json
from iqasr.data.files.readers import Reader
from iqasr.runtime.errors import DataError

PIXELS, INDEX = 'pixels.bin', 'index.json'
RAW_FORMAT = 'iqasr raw 1'


class RawImage(NamedTuple):
    """Place, size and checksums of an image in ``pixels.bin``."""

    offset: int
    height: int
    width: int
    checksum: int
    """CRC-32 of its pixels."""
    content_hash: str
    """Hash of the image file it was made from, as in a quality table."""

    @property
    def num_bytes(self) -> int:
        """Length in ``pixels.bin``."""
        return 3 * self.height * self.width


class RawReader(Reader):
    """Reads images by key; maps the pixels where they are first used, so it may cross processes.

    Args:
        path: The store's folder.
        images: By key, as in its index.
    """

    def __init__(self, path: str, images: Mapping[str, RawImage]) -> None:
        self.path = path
        self.images = images
        self._num_bytes = end_of(images.values())
        self._file: mmap.mmap | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {'_file': None}

    def image(self, file: str) -> np.ndarray:
        """View an image, ``(H, W, 3)`` uint8 RGB; only the pixels that are then used are read.

        Raises:
            DataError: If there is no such key, or the store has been cut since it was opened.
        """
        planes = self._stored(file).reshape(3, *self.inspect(file))
        return planes.transpose(1, 2, 0)

    def content_hash(self, file: str) -> str:
        """Look up the hash of the image file that the image was made from."""
        return self._entry(file).content_hash

    def inspect(self, file: str, *, decode: bool = False) -> tuple[int, int]:
        """Look up the size of an image; with `decode`, compare its pixels with their checksum.

        Raises:
            DataError: If the pixels have changed.
        """
        entry = self._entry(file)
        if decode and zlib.crc32(self._stored(file)) != entry.checksum:
            raise DataError(
                f'{self.where(file)}: damaged, its checksum differs. Copy the store again, or '
                'create it again.'
            )
        return entry.height, entry.width

    def where(self, file: str) -> str:
        """Name the image: store and key."""
        return f'{self.path}: {file}'

    def close(self) -> None:
        """Unmap the pixels; a later `image` maps them again."""
        self._file = None

    def _entry(self, file: str) -> RawImage:
        if file not in self.images:
            raise DataError(f"{self.path}: the key '{file}' is missing. Create the store again.")
        return self.images[file]

    def _stored(self, file: str) -> np.ndarray:
        if self._file is None:
            with open(os.path.join(self.path, PIXELS), 'rb') as stream:
                self._file = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        entry = self._entry(file)
        if self._file.size() < self._num_bytes:  # reading beyond the end would kill the process
            raise DataError(f'{self.path}: cut short while in use. Copy or create it again.')
        return np.frombuffer(self._file, np.uint8, entry.num_bytes, entry.offset)


def is_raw(root: str) -> bool:
    """Tell a raw store from a folder of images."""
    return root.rstrip('/\\').endswith('.raw') or os.path.isfile(os.path.join(root, PIXELS))


def open_raw(path: str) -> tuple[RawReader, list[Group]]:
    """Check that a raw store is whole, and open it.

    Args:
        path: The store's folder.

    Returns:
        Its reader and its groups; none in a store of a flat folder.

    Raises:
        DataError: If a file of it is missing, cut short or not readable.
    """
    index = os.path.join(path, INDEX)
    for file in (index, os.path.join(path, PIXELS)):
        if not os.path.isfile(file):
            raise DataError(
                f'{file}: missing. Create the store with scripts/create_lmdb.py --codec raw, or '
                'copy it again.'
            )
    try:
        with open(index, encoding='utf-8') as stream:
            content = json.load(stream)
        if content['format'] != RAW_FORMAT:
            raise ValueError(f"its format is '{content['format']}', not '{RAW_FORMAT}'")
        images = {key: RawImage(*entry) for key, entry in content['images'].items()}
        for key, image in images.items():
            if not all(isinstance(number, int) and number >= 0 for number in image[:3]):
                raise ValueError(f"the place of '{key}' is {image[:3]}")
        groups = [group_from_json(**group) for group in content['groups']]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f'{index}: not readable ({error}). Create the store again.') from error
    _check_length(path, images.values())
    return RawReader(path, images), groups


def end_of(images: Iterable[RawImage]) -> int:
    """Length of ``pixels.bin``, in bytes."""
    return max((image.offset + image.num_bytes for image in images), default=0)


def _check_length(path: str, images: Iterable[RawImage]) -> None:
    """Compare with the index: reading beyond the end would kill the process."""
    expected = end_of(images)
    length = os.path.getsize(os.path.join(path, PIXELS))
    if length != expected or not expected:
        raise DataError(
            f'{os.path.join(path, PIXELS)}: {length} of {expected} bytes. Copy the store again, '
            'or create it again.'
        )
