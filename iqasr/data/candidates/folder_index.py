"""An index of a folder of candidates, kept inside it for the next start.

Listing the candidates of 20,000 images, reading the judgements of all annotators and inspecting
every image takes minutes on a network disk. The index is used only while name, size and
modification time of every image and label file are what they were.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iqasr.data.candidates.candidate_folders import read_folders
from iqasr.data.candidates.group import Group, group_from_json
from iqasr.data.files.readers import FileReader
from iqasr.runtime.atomic_files import write_text_atomically
from iqasr.runtime.errors import CheckpointError

INDEX_FILE = '.iqasr_index.json'

_FORMAT = 'iqasr index 1'
_DEPTH = 4
"""From the root to the images: ``images/<set>/original/NAME.png``."""
_SETTLED_NS = 1_000_000_000
"""A file that changed more recently may change again without a new modification time."""

logger = logging.getLogger('iqasr')


class IndexedReader(FileReader):
    """Reads image files by path, and knows the sizes of those that were inspected before.

    Args:
        index: File to keep the index in.
        stamp: Hash of the listings that the index depends on; None to keep no index.
        groups: The groups.
        sizes: Height and width by key of a group.
    """

    def __init__(
        self,
        index: str,
        stamp: str | None,
        groups: list[Group],
        sizes: Mapping[str, tuple[int, int]],
    ) -> None:
        self.index, self.stamp, self.groups = index, stamp, groups
        self.sizes = {
            file: tuple(sizes[group.key])
            for group in groups
            if group.key in sizes
            for file in group.files
        }

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {'stamp': None, 'groups': [], 'sizes': {}}

    def inspect(self, file: str, *, decode: bool = False) -> tuple[int, int]:
        """Look up the size of an image; inspect it if it is not known, or with `decode`."""
        if decode or file not in self.sizes:
            return super().inspect(file, decode=decode)
        return self.sizes[file]

    def remember(self, sizes: Mapping[str, tuple[int, int]]) -> None:
        """Keep new sizes for the next start; not of kinds that it might not accept."""
        if self.allow_grey or self.bits > 8:
            return
        if sizes.keys() - self.sizes.keys():
            self.sizes |= sizes
            self.save()

    def save(self) -> None:
        """Write the index; if that fails, the next start only takes longer."""
        if self.stamp is None:
            return
        originals = ((group.key, group.files[0]) for group in self.groups)
        sizes = {key: self.sizes[file] for key, file in originals if file in self.sizes}
        content = json.dumps({'stamp': self.stamp, 'rows': self.groups, 'sizes': sizes})
        try:
            write_text_atomically(content, Path(self.index))
        except (CheckpointError, OSError) as error:
            logger.debug('%s: cannot be kept for the next start (%s).', self.index, error)


def read_indexed(root: str, labels: str | None, *, allow_missing: bool) -> IndexedReader:
    """Find the candidates of every image as `read_folders`, from the index if nothing changed."""
    index = os.path.join(root, INDEX_FILE)
    folders = (root,) if labels is None else (root, labels)
    stamp, newest_ns = _stamp(folders, [_FORMAT, *folders, allow_missing])
    settled = time.time_ns() - newest_ns > _SETTLED_NS
    try:
        with open(index, encoding='utf-8') as file:
            kept = json.load(file)
        if settled and kept['stamp'] == stamp:
            groups = [group_from_json(*row) for row in kept['rows']]
            return IndexedReader(index, stamp, groups, kept['sizes'])
    except (OSError, ValueError, KeyError, TypeError):
        logger.debug('%s: there is no usable index.', index)
    groups = read_folders(root, labels, allow_missing=allow_missing)
    reader = IndexedReader(index, stamp if settled else None, groups, {})
    reader.save()
    return reader


def _stamp(folders: tuple[str, ...], options: list[Any]) -> tuple[str, int]:
    """Hash the listings of folders; also return the newest modification time, in ns.

    Files directly in them, such as quality tables, do not matter.
    """
    lines = [repr(options)]
    newest = 0

    def add(folder: str, depth: int) -> None:
        nonlocal newest
        with os.scandir(folder) as entries:
            found = sorted((entry.name, entry) for entry in entries if entry.name[0] != '.')
        for name, entry in found:
            if entry.is_dir():
                lines.append(f'/{name}')
                if depth < _DEPTH:
                    add(entry.path, depth + 1)
            elif depth > 1:
                stat = entry.stat()
                newest = max(newest, stat.st_mtime_ns)
                lines.append(f'{name} {stat.st_size} {stat.st_mtime_ns}')

    for folder in filter(os.path.isdir, folders):
        add(folder, 1)
    digest = hashlib.blake2b('\n'.join(lines).encode(errors='surrogateescape'), digest_size=16)
    return digest.hexdigest(), newest
