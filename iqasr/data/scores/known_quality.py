"""Quality of candidates, scored before training."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class ScoredGroup(NamedTuple):
    """The quality of one image's candidates, or of their crops."""

    key: str
    names: tuple[str, ...]
    content_hashes: tuple[str, ...]
    """Hashes of the candidates' image files."""
    size: tuple[int, int] | None
    """Height and width; None where whole images were scored."""
    quality: np.ndarray
    """``(K, P)``, higher is better, NaN where one got no score: a column per place of the crops, or
    one for all of them."""


@dataclass(frozen=True)
class KnownQuality(ABC):
    """The quality that one scorer gave to the candidates of a data set, or to their crops."""

    path: str
    """The file that holds it."""
    scorer: str
    version: str
    score_range: tuple[float, float]
    """Worst and best quality to expect from the scorer."""
    groups: dict[str, ScoredGroup]
    """By key."""

    @property
    @abstractmethod
    def how_to_update(self) -> str:
        """The command that scores what has changed in the data, as a sentence."""

    def rows(self, key: str, names: Sequence[str]) -> Tensor:
        """Look up the quality of the candidates of one image.

        Args:
            key: The key of the group.
            names: Its candidates, `Group.names`.

        Returns:
            Quality, :math:`(P, K)` float32, higher is better: a row per place of its crops, or one
            for all of them; candidates in the order of `names`, NaN where one got no score.

        Raises:
            ValueError: If these are not the candidates that were scored.
        """
        known = self.groups[key].names if key in self.groups else ()
        if set(known) != set(names):
            raise ValueError(
                f"{self.path}: was made for other data: the candidates of '{key}' are "
                f'{", ".join(names)}, but {", ".join(known) or "none"} were scored. '
                f'{self.how_to_update}'
            )
        order = [known.index(name) for name in names]
        return torch.from_numpy(self.groups[key].quality[order].T.astype(np.float32))

    def content_hash(self, key: str, name: str) -> str:
        """Look up the hash of the image file that was scored."""
        group = self.groups[key]
        return group.content_hashes[group.names.index(name)]

    @cached_property
    def finite(self) -> Tensor:
        """All finite quality, float64."""
        flat = [group.quality.reshape(-1) for group in self.groups.values()]
        quality = torch.from_numpy(np.concatenate(flat).astype(np.float64))
        return quality[quality.isfinite()]

    @cached_property
    def mean(self) -> float:
        """Mean of the finite quality; NaN where there is none."""
        return self.finite.mean().item()

    @cached_property
    def std(self) -> float:
        """Standard deviation (of a population) of the finite quality; NaN where there is none."""
        return self.finite.std(correction=0).item()
