"""An image and its candidate ground truths."""

from collections.abc import Sequence
from typing import NamedTuple

from iqasr.sampling.labels import Label


class Group(NamedTuple):
    """An image and its candidate ground truths; index 0 is the original."""

    key: str
    """Name of the original without suffix, after ``<set>/`` where a root holds several sets."""
    names: tuple[str, ...]
    """Kinds of candidates: ``original``, then the folders of the others."""
    files: tuple[str | None, ...]
    """As the `Reader` of the set takes them; None where a candidate is absent."""
    labels: tuple[Label | None, ...]
    """Merged judgements; None where nobody judged. The original's is `Label.ORIGINAL`."""
    votes: tuple[int, ...] = ()
    """Number of annotators who voted for each label, 0 where nobody judged."""

    @property
    def present(self) -> dict[str, str]:
        """Files of the candidates that are there, by name."""
        pairs = zip(self.names, self.files, strict=True)
        return {name: file for name, file in pairs if file is not None}


def group_from_json(
    key: str,
    names: Sequence[str],
    files: Sequence[str | None],
    labels: Sequence[int | None],
    votes: Sequence[int],
) -> Group:
    """Make a group of its fields as JSON holds them."""
    merged = tuple(None if label is None else Label(label) for label in labels)
    return Group(key, tuple(names), tuple(files), merged, tuple(votes))
