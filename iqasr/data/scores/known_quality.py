"""Quality of candidates, scored before training."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from functools import cached_property

from torch import Tensor


class KnownQuality(ABC):
    """The quality that one scorer gave to the candidates of a data set, or to their crops."""

    path: str
    """The file that holds it."""
    score_range: tuple[float, float]
    """Worst and best quality to expect from the scorer."""
    finite: Tensor
    """All finite quality, float64."""
    how_to_update: str
    """The command that scores what has changed in the data, as a sentence."""

    @abstractmethod
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

    @abstractmethod
    def content_hash(self, key: str, name: str) -> str:
        """Look up the hash of the image file that was scored."""

    @cached_property
    def mean(self) -> float:
        """Mean of the finite quality; NaN where there is none."""
        return self.finite.mean().item()

    @cached_property
    def std(self) -> float:
        """Standard deviation (of a population) of the finite quality; NaN where there is none."""
        return self.finite.std(correction=0).item()

    def _refuse_others(self, key: str, names: Sequence[str], known: Collection[str]) -> None:
        if set(known) != set(names):
            raise ValueError(
                f"{self.path}: was made for other data: the candidates of '{key}' are "
                f'{", ".join(names)}, but {", ".join(known) or "none"} were scored. '
                f'{self.how_to_update}'
            )
