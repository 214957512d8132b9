"""Candidate ground truths: where those of each image lie, and what people think of them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from iqasr.data.candidates.folder_index import read_indexed
from iqasr.data.files.readers import Reader
from iqasr.data.stores.lmdb_reader import GROUP_FIELDS, LmdbReader, read_index
from iqasr.data.stores.raw_reader import is_raw, open_raw
from iqasr.runtime.errors import DataError
from iqasr.sampling.labels import Label


@dataclass(frozen=True)
class Group:
    """An image and its candidate ground truths; index 0 is the original."""

    key: str
    """Name of the original without suffix, after ``<set>/`` where a root holds several sets."""
    names: tuple[str, ...]
    """What the kinds of candidates are called: ``original``, then the folders of the others."""
    files: tuple[str | None, ...]
    """What `CandidateSet.image` takes; None where a candidate is absent."""
    labels: tuple[Label | None, ...]
    """Merged judgements; None where nobody judged. The original's is `Label.ORIGINAL`."""
    votes: tuple[int, ...] = ()
    """How many annotators voted for each label, 0 where nobody judged."""


class CandidateSet:
    """Groups of candidates and the way to read them; may cross processes by fork or pickle.

    Args:
        root: Folder, LMDB or raw store the set was opened from.
        groups: The groups, sorted by key.
        reader: Reads the images.
    """

    def __init__(self, root: str, groups: list[Group], reader: Reader) -> None:
        self.root = root
        self.groups = groups
        self.reader = reader

    def image(self, file: str) -> np.ndarray:
        """Read one image, by its entry in `Group.files`: ``(H, W, 3)`` uint8 RGB.

        Raises:
            ValueError: If it cannot be read.
        """
        return self.reader.image(file)

    def where(self, file: str) -> str:
        """Name one image in a message: its path, or store and key."""
        return self.reader.where(file)

    def close(self) -> None:
        """Close what this process holds open; reading opens it again."""
        self.reader.close()


def open_candidates(
    root: str, labels: str | None = None, *, allow_missing: bool = False
) -> CandidateSet:
    """Find the candidates of every image.

    Args:
        root: An LMDB or raw store made by ``scripts/create_lmdb.py``, a folder that holds
            ``original`` and one folder per kind of candidate, or one whose ``images`` (or
            ``images/<set>``) does.
        labels: Folder of the human judgements (``A``, ``B``, ``C``, below ``<set>`` where there are
            sets); default ``<root>/labels`` where it exists.
        allow_missing: Leave candidates that are not there out, instead of refusing the set.

    Returns:
        The set.

    Raises:
        DataError: If candidates or labels are missing, ambiguous or unreadable: all of them.
    """
    if not os.path.isdir(root):
        raise DataError(
            f'{root}: no such folder. Give a folder of candidates, an LMDB or a raw store.'
        )
    if is_store(root):
        if labels is not None:
            raise DataError(f'{root}: a store carries its labels; leave the folder {labels} out.')
        if is_raw(root):
            reader, entries = open_raw(root)
        else:
            reader, entries = LmdbReader(root), read_index(root)
        return CandidateSet(root, [_group_of(entry) for entry in entries], reader)
    reader = read_indexed(root, labels, allow_missing=allow_missing)
    entries = (dict(zip(GROUP_FIELDS, row, strict=True)) for row in reader.rows)
    return CandidateSet(root, [_group_of(entry) for entry in entries], reader)


def is_store(root: str) -> bool:
    """Tell an LMDB or raw store from a folder of images."""
    return is_lmdb(root) or is_raw(root)


def is_lmdb(root: str) -> bool:
    """Tell an LMDB from a folder of images."""
    return root.rstrip('/\\').endswith('.lmdb') or os.path.isfile(os.path.join(root, 'data.mdb'))


def _group_of(entry: Mapping[str, Any]) -> Group:
    return Group(
        key=entry['key'],
        names=tuple(entry['names']),
        files=tuple(entry['files']),
        labels=tuple(None if label is None else Label(label) for label in entry['labels']),
        votes=tuple(entry['votes']),
    )
