"""Quality of the crops of every candidate ground truth, scored once and kept in one file.

The crops lie on a lattice: `stride` pixels apart, and one at the far edge. Training that uses a map
draws its crops there, so that the best candidate of *this* crop is known before anything is read.
"""

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from iqasr.data.scores.known_quality import KnownQuality, ScoredGroup
from iqasr.runtime.atomic_files import save_safetensors

HOW_TO_MAP = (
    'python scripts/score_candidates.py -i <data> --scorer {scorer} --map --crop {crop} -o {path}'
)

_MOST = 60_000.0
"""Quality is clipped to this, either sign; float16 ends at 65,504."""


@dataclass(frozen=True)
class QualityMap(KnownQuality):
    """The quality that one scorer gave to the crops of the candidates of a data set.

    It is stored as float16; the places of a group are in `lattice` order, row by row.
    """

    crop: int
    """Side of the crops, in pixels."""
    stride: int
    """Their distance, in pixels."""

    @classmethod
    def read(cls, path: str, scorer: str | None = None) -> 'QualityMap':
        """Read a map.

        Args:
            path: File written by ``scripts/score_candidates.py --map``.
            scorer: The scorer it must be of; None for any.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no quality map, or of another scorer.
        """
        if not os.path.isfile(path):
            command = HOW_TO_MAP.format(scorer=scorer or '<scorer>', crop='<gt_size>', path=path)
            raise FileNotFoundError(f'{path}: there is no quality map. Make it: {command}')
        try:
            with safe_open(path, 'numpy') as file:
                content = json.loads(file.metadata()['quality_map'])
                flat = file.get_tensor('quality')
            name, version, score_range, crop, stride = content['kind']
            groups = {group.key: group for group in _split(flat, content['groups'], crop, stride)}
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f'{path}: not a quality map ({error!r}). Make it again.') from error
        if scorer not in (None, name):
            command = HOW_TO_MAP.format(scorer=scorer, crop=crop, path='<map>')
            raise ValueError(
                f"{path}: holds quality by '{name}', not '{scorer}'. Make another map: {command}"
            )
        return cls(path, name, version, tuple(score_range), groups, crop, stride)

    def check_crop(self, gt_size: int) -> None:
        """Check that the crops are those of the training.

        Raises:
            ValueError: If they are of another size.
        """
        if self.crop != gt_size:
            command = HOW_TO_MAP.format(scorer=self.scorer, crop=gt_size, path='<map>')
            raise ValueError(
                f'{self.path}: holds quality of crops of {self.crop} px, but gt_size is '
                f'{gt_size}. Use gt_size: {self.crop}, or make another map: {command}'
            )

    def write(self) -> None:
        """Write the map; `path` holds either its old content or all of the new one.

        Raises:
            CheckpointError: If it cannot be written.
        """
        groups = self.groups.values()
        flat = np.concatenate([group.quality.reshape(-1) for group in groups])
        kind = self.scorer, self.version, self.score_range, self.crop, self.stride
        content = {'kind': kind, 'groups': [group[:-1] for group in groups]}
        save_safetensors(
            {'quality': torch.from_numpy(flat)},
            Path(self.path),
            {'quality_map': json.dumps(content)},
        )

    @property
    def how_to_update(self) -> str:
        """The command that scores what has changed in the data, as a sentence."""
        how = HOW_TO_MAP.format(scorer=self.scorer, crop=self.crop, path=self.path)
        return f'Score what is new: {how} --stride {self.stride}'


def lattice(length: int, crop: int, stride: int) -> list[int]:
    """List where crops begin along a side: multiples of the stride, and the last place that fits.

    Example:
        >>> lattice(100, 32, 24)
        [0, 24, 48, 68]
    """
    return [*range(0, length - crop, stride), length - crop]


def keep_order(quality: np.ndarray) -> np.ndarray:
    """Round to float16, so that the order of the candidates of each crop stays what it is.

    Where plain rounding would make a tie, the better one is moved up to the next number, so that
    the best candidate is the same before and after.

    Args:
        quality: ``(K, P)`` float32; NaN where a crop got no score.

    Returns:
        The same shape, float16.

    Example:
        >>> keep_order(np.array([[50.001], [50.002], [50.001]], np.float32)).T
        array([[50.  , 50.03, 50.  ]], dtype=float16)
    """
    order = np.argsort(quality, axis=0, kind='stable')
    exact = np.take_along_axis(quality, order, 0)
    rounded = exact.clip(-_MOST, _MOST).astype(np.float16)
    for k in range(1, len(exact)):
        above = np.maximum(rounded[k], np.nextafter(rounded[k - 1], np.float16(math.inf)))
        rounded[k] = np.where(exact[k] == exact[k - 1], rounded[k - 1], above)
    kept = np.empty_like(rounded)
    np.put_along_axis(kept, order, rounded, 0)
    return kept


def _split(
    flat: np.ndarray, entries: Iterable[Sequence], crop: int, stride: int
) -> Iterable[ScoredGroup]:
    """Give every group its part of the quality."""
    first = 0
    for key, names, hashes, size in entries:
        places = math.prod(len(lattice(side, crop, stride)) for side in size)
        last = first + len(names) * places
        quality = flat[first:last].reshape(len(names), places)
        yield ScoredGroup(key, tuple(names), tuple(hashes), tuple(size), quality)
        first = last
    if first != len(flat):
        raise ValueError(f'{len(flat)} values instead of {first}')
