"""Candidate ground truths: where those of each image lie, and what people think of them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from iqasr.data.candidate_folders import read_folders
from iqasr.data.hggt import Label
from iqasr.data.image_files import DataError
from iqasr.data.lmdb_reader import LmdbReader, read_index


@dataclass(frozen=True)
class Group:
    """An image and its candidate ground truths; index 0 is the original."""

    key: str
    """Name of the original without suffix, after ``<set>/`` where a root holds several sets."""
    names: tuple[str, ...]
    """What the kinds of candidates are called: ``original``, then the folders of the others."""
    files: tuple[str | None, ...]
    """What `CandidateSet.read` takes; None where a candidate is absent."""
    labels: tuple[Label | None, ...]
    """Merged judgements; None where nobody judged. The original's is `Label.ORIGINAL`."""
    votes: tuple[int, ...] = ()
    """How many annotators voted for each label, 0 where nobody judged."""


class Reader(Protocol):
    """Opens an image by the name a `Group` holds."""

    def open(self, file: str) -> BinaryIO:
        """Open one image for reading."""

    def where(self, file: str) -> str:
        """Name the image in a message."""

    def sizes(self) -> Mapping[str, tuple[int, int]]:
        """Height and width of the images that were inspected when the set was made."""

    def close(self) -> None:
        """Give back what this process holds open."""


class FileReader:
    """Reads image files by path."""

    def open(self, file: str) -> BinaryIO:
        """Open one image file."""
        return open(file, 'rb')

    def where(self, file: str) -> str:
        """Name the file: its path."""
        return file

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Nothing is known of the files."""
        return {}

    def close(self) -> None:
        """Nothing stays open."""


class CandidateSet:
    """Groups of candidates and the way to read them; may cross processes by fork or pickle.

    Args:
        root: Folder or LMDB the set was opened from.
        groups: The groups, sorted by key.
        reader: Reads the images.
    """

    def __init__(self, root: str, groups: list[Group], reader: Reader) -> None:
        self.root = root
        self.groups = groups
        self.reader = reader

    def open(self, file: str) -> BinaryIO:
        """Open one image, by its entry in `Group.files`."""
        return self.reader.open(file)

    def read(self, file: str) -> bytes:
        """Read one image file, by its entry in `Group.files`."""
        with self.open(file) as stream:
            return stream.read()

    def where(self, file: str) -> str:
        """Name one image in a message: its path, or LMDB and key."""
        return self.reader.where(file)

    def sizes(self) -> Mapping[str, tuple[int, int]]:
        """List height and width of the images that were inspected when the set was made."""
        return self.reader.sizes()

    def close(self) -> None:
        """Close what this process holds open; reading opens it again."""
        self.reader.close()


def open_candidates(
    root: str, labels: str | None = None, *, allow_missing: bool = False
) -> CandidateSet:
    """Find the candidates of every image.

    Args:
        root: An LMDB made by ``scripts/create_lmdb.py``, a folder that holds ``original`` and one
            folder per kind of candidate, or one whose ``images`` (or ``images/<set>``) does.
        labels: Folder of the human judgements (``A``, ``B``, ``C``, below ``<set>`` where there are
            sets); default ``<root>/labels`` where it exists.
        allow_missing: Leave candidates that are not there out, instead of refusing the set.

    Returns:
        The set.

    Raises:
        DataError: If candidates or labels are missing, ambiguous or unreadable: all of them.
    """
    if not os.path.isdir(root):
        raise DataError(f'{root}: no such folder. Give a folder of candidates or an LMDB.')
    if is_lmdb(root):
        if labels is not None:
            raise DataError(f'{root}: an LMDB carries its labels; leave the folder {labels} out.')
        return CandidateSet(
            root, [_group_of(entry) for entry in read_index(root)], LmdbReader(root)
        )
    rows = read_folders(root, labels, allow_missing=allow_missing)
    return CandidateSet(root, [Group(*row) for row in rows], FileReader())


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
