"""Sets of candidate ground truths: opening and reading them."""

import os
from typing import NamedTuple

import torch
from torch import Tensor

from iqasr.data.candidates.folder_index import read_indexed
from iqasr.data.candidates.group import Group
from iqasr.data.files.readers import Reader
from iqasr.data.stores.lmdb_reader import is_lmdb, open_lmdb
from iqasr.data.stores.raw_reader import is_raw, open_raw
from iqasr.runtime.errors import DataError
from iqasr.sampling.base import GTSampler


class CandidateSet(NamedTuple):
    """Groups of candidates and the way to read them; may cross processes by fork or pickle."""

    root: str
    """Folder, LMDB or raw store the set was opened from."""
    groups: list[Group]
    """Sorted by key."""
    reader: Reader
    """Reads the images, by their entries in `Group.files`."""


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
        reader, groups = open_raw(root) if is_raw(root) else open_lmdb(root)
    else:
        reader = read_indexed(root, labels, allow_missing=allow_missing)
        groups = reader.groups
    return CandidateSet(root, groups, reader)


def is_store(root: str) -> bool:
    """Tell an LMDB or raw store from a folder of images."""
    return is_lmdb(root) or is_raw(root)


def select_allowed(found: CandidateSet, sampler: GTSampler) -> tuple[CandidateSet, Tensor]:
    """Leave out the groups of which a policy may choose no candidate.

    Returns:
        The set, and which candidates may be chosen, :math:`(N, K)` bool; False beyond those of a
        group.

    Raises:
        DataError: If no group is left.
        ValueError: If the policy goes by labels and there are none.
    """
    allowed = [sampler.allowed_candidates(group.labels) for group in found.groups]
    kept = [k for k, of_group in enumerate(allowed) if any(of_group)]
    if not kept:
        raise DataError(
            f"{found.root}: no group has a candidate that 'candidates: {sampler.candidates}' "
            'allows. Allow more, or check the labels.'
        )
    groups = [found.groups[k] for k in kept]
    most = max(len(group.files) for group in groups)
    padded = [allowed[k] + [False] * (most - len(allowed[k])) for k in kept]
    return found._replace(groups=groups), torch.tensor(padded)
