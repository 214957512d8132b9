"""Reading the LMDBs that `iqasr.data.stores.lmdb_store` makes."""

import io
import json
import os
import re
import threading
from collections.abc import Collection, Iterable

import lmdb

from iqasr.data.candidates.group import Group, group_from_json
from iqasr.data.files.readers import EncodedReader
from iqasr.runtime.errors import DataError

DATA, META_INFO, GROUPS = 'data.mdb', 'meta_info.txt', 'groups.json'

_META_INFO_LINE = re.compile(r'([^.]+)\.\w+ \((\d+),(\d+)')

_environments: dict[str, tuple[int, lmdb.Environment]] = {}
_opening = threading.Lock()


def open_environment(path: str) -> lmdb.Environment:
    """Open an LMDB, by its real path, for reading; once per process, as LMDB demands."""
    with _opening:
        process, opened = _environments.get(path, (0, None))
        if process != os.getpid():
            if opened is not None:  # inherited by fork; its parent goes on using its own copy
                opened.close()
            opened = lmdb.open(path, readonly=True, lock=False, readahead=False)
            _environments[path] = os.getpid(), opened
        return opened


class LmdbReader(EncodedReader):
    """Reads images by key; opens the LMDB where it is first used, so it may cross processes.

    Args:
        path: The LMDB's folder.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.real_path = os.path.realpath(path)
        self._sizes: dict[str, tuple[int, int]] = {}
        self._num_bytes = os.path.getsize(os.path.join(path, DATA))

    def open(self, file: str) -> io.BytesIO:
        """Open one image by its key.

        Raises:
            DataError: If there is no such key, or the LMDB has been cut since it was opened.
        """
        if os.path.getsize(os.path.join(self.path, DATA)) < self._num_bytes:
            # Reading beyond the end would kill the process.
            raise DataError(f'{self.path}: cut short while in use. Copy or create it again.')
        with open_environment(self.real_path).begin() as transaction:
            value = transaction.get(file.encode())
        if value is None:
            raise DataError(f"{self.path}: the key '{file}' is missing. Create the LMDB again.")
        return io.BytesIO(value)

    def where(self, file: str) -> str:
        """Name the image: LMDB and key."""
        return f'{self.path}: {file}'

    def inspect(self, file: str, *, decode: bool = False) -> tuple[int, int]:
        """Decode an image, or look up its size: it was inspected when the LMDB was made."""
        self._sizes = self._sizes or read_sizes(self.path)
        if decode or file not in self._sizes:
            return super().inspect(file, decode=decode)
        return self._sizes[file]

    def close(self) -> None:
        """Close the LMDB in this process; a later `open` opens it again."""
        with _opening:
            _, opened = _environments.pop(self.real_path, (0, None))
        if opened is not None:
            opened.close()


def is_lmdb(root: str) -> bool:
    """Tell an LMDB from a folder of images."""
    return root.rstrip('/\\').endswith('.lmdb') or os.path.isfile(os.path.join(root, DATA))


def open_lmdb(path: str) -> tuple[LmdbReader, list[Group]]:
    """Check that an LMDB of candidates is whole, and open it.

    Args:
        path: The LMDB's folder.

    Returns:
        Its reader and its groups.

    Raises:
        DataError: If a file of it is missing or cut short, or an image is not in it.
    """
    _check_files(path, (DATA, META_INFO, GROUPS))
    _check_length(path)
    groups = _read_groups(path)
    in_groups = {file for group in groups for file in group.present.values()}
    _check_keys(path, read_sizes(path).keys() | in_groups)
    return LmdbReader(path), groups


def check_lmdb(path: str) -> None:
    """Check that an LMDB is whole, groups or not, and leave it closed for BasicSR to open.

    Args:
        path: The LMDB's folder.

    Raises:
        DataError: If a file of it is missing or cut short, or a listed image is not in it.
    """
    _check_files(path, (DATA, META_INFO))
    try:
        _check_length(path)
        _check_keys(path, read_sizes(path))
    finally:
        LmdbReader(path).close()


def read_sizes(path: str) -> dict[str, tuple[int, int]]:
    """Read height and width of the images of an LMDB, by key, from its ``meta_info.txt``.

    Args:
        path: The LMDB's folder.

    Raises:
        DataError: If a line is not one that BasicSR reads, too.
    """
    listing = os.path.join(path, META_INFO)
    sizes = {}
    with open(listing, encoding='utf-8', errors='replace') as file:
        for number, line in enumerate(file, start=1):
            entry = _META_INFO_LINE.match(line)
            if entry is None:
                raise DataError(
                    f"{listing}: line {number} is not 'key.png (height,width,channels) level'. "
                    'Copy the LMDB again, or create it again.'
                )
            sizes[entry[1]] = int(entry[2]), int(entry[3])
    return sizes


def _check_files(path: str, names: Iterable[str]) -> None:
    for name in names:
        if not os.path.isfile(os.path.join(path, name)):
            raise DataError(
                f'{path}: {name} is missing. Create it with scripts/create_lmdb.py, or copy it '
                'again.'
            )


def _check_keys(path: str, wanted: Collection[str]) -> None:
    with open_environment(os.path.realpath(path)).begin() as transaction:
        keys = {key.decode() for key in transaction.cursor().iternext(values=False)}
    absent = sorted(set(wanted) - keys)
    if absent:
        raise DataError(
            f'{path}: {len(absent)} of {len(wanted)} images are not in {DATA}, the first is '
            f"'{absent[0]}'. Copy the LMDB again, or create it again."
        )


def _check_length(path: str) -> None:
    """Compare the file's length with its header: reading beyond the end would kill the process."""
    data = os.path.join(path, DATA)
    length = os.path.getsize(data)
    try:
        opened = open_environment(os.path.realpath(path))
        expected = (opened.info()['last_pgno'] + 1) * opened.stat()['psize']
    except lmdb.Error as error:
        raise DataError(
            f'{data}: not an LMDB file ({error}). Copy it or create it again.'
        ) from error
    if length < expected:
        LmdbReader(path).close()
        raise DataError(
            f'{data}: cut short, {length} of {expected} bytes. Copy it again, or create it again.'
        )


def _read_groups(path: str) -> list[Group]:
    try:
        with open(os.path.join(path, GROUPS), encoding='utf-8') as file:
            return [group_from_json(**group) for group in json.load(file)['groups']]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f'{os.path.join(path, GROUPS)}: not readable ({error}). Create the LMDB again.'
        ) from error
