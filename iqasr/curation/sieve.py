"""Which tiles stay: limits of each scorer, near-duplicates, the best share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import rankdata

from iqasr.enhancement.selection import FINGERPRINT_BITS, find_twins

NO_SCORE, NEAR_DUPLICATE = 'no score', 'near-duplicate'
NOT_AMONG_THE_BEST, MORE_THAN_MOST = 'not among the best', 'enough of its photograph'


@dataclass(frozen=True)
class SieveRules:
    """Rules for what stays.

    Args:
        limits: By scorer, the worst score that stays, as published: the least where higher is
            better, else the largest.
        best_share: Share that stays of the tiles that all other rules leave, in (0, 1].
        most: Most tiles of a photograph, the best ones, >= 1; None for all.
        most_alike_bits: Two pictures whose fingerprints (`iqasr.enhancement.selection.fingerprint`)
            differ in at most so many of 64 bits are near-duplicates: of photographs the one with
            fewer pixels goes, of tiles the worse one; -1 keeps both.
        flips: Whether flipped pictures are near-duplicates, too.
        favour: How many times as often as the worst tile that stays the best one is to be drawn,
            > 0; those between, at even steps of their rank, by even factors.

    Raises:
        ValueError: If a number is out of range.
    """

    limits: Mapping[str, float] = field(default_factory=dict)
    best_share: float = 1.0
    most: int | None = None
    most_alike_bits: int = 6
    flips: bool = False
    favour: float = 4.0

    def __post_init__(self) -> None:
        if not 0 < self.best_share <= 1:
            raise ValueError(f'best_share is {self.best_share:g}; use a share in (0, 1].')
        if self.most is not None and self.most < 1:
            raise ValueError(f'most is {self.most}; use 1 or more.')
        if not 0 < self.favour < float('inf'):
            raise ValueError(f'favour is {self.favour:g}; use a number above 0.')
        if unusable := [name for name, limit in self.limits.items() if limit != limit]:
            raise ValueError(f'limits: that of {unusable[0]} is no number.')

    def near_duplicates(self, fingerprints: Sequence[Sequence[str]]) -> dict[int, tuple[int, str]]:
        """Find near-duplicates among pictures of which the earlier one stays.

        Args:
            fingerprints: Of each picture, and then of its flips.

        Returns:
            By index, the index of the twin, and the figures.
        """
        compared = [own if self.flips else own[:1] for own in fingerprints]
        twins = find_twins(compared, self.most_alike_bits)
        return {
            index: (twin, f'{bits} of {FINGERPRINT_BITS} bits')
            for index, (twin, bits) in twins.items()
        }


def overall_quality(quality: np.ndarray) -> np.ndarray:
    """Merge the scorers: the mean of the shares of tiles that each ranks lower.

    Args:
        quality: Scorers x tiles, higher is better; NaN where a tile has no score.

    Returns:
        By tile, in (0, 1); NaN where a scorer has no score.

    Example:
        >>> overall_quality(np.array([[3.0, 1.0], [30.0, np.nan]]))
        array([0.625,   nan])
    """
    ranks = rankdata(quality, axis=1, nan_policy='omit') - 0.5
    return (ranks / np.isfinite(quality).sum(1, keepdims=True).clip(min=1)).mean(0)


def sampling_weights_of(overall: np.ndarray, favour: float) -> np.ndarray:
    """Weigh tiles by their rank, the mean being 1; see `SieveRules`.

    Example:
        >>> sampling_weights_of(np.array([0.9, 0.2, 0.5]), favour=4).round(3)
        array([1.714, 0.429, 0.857])
    """
    steps = (rankdata(overall) - 1) / max(len(overall) - 1, 1)
    weights = favour**steps
    return weights / weights.mean()


class Sieve:
    """Sorts tiles out, one rule after the other.

    Args:
        names: Names of the tiles.
        photographs: The photograph of each.
        overall: Overall quality of each.
    """

    def __init__(
        self, names: Sequence[str], photographs: Sequence[str], overall: np.ndarray
    ) -> None:
        self.names, self.photographs, self.overall = names, photographs, overall
        self.left_out: dict[str, tuple[str, str]] = {}
        """Reason and figures, by name."""
        self.twins: dict[str, str] = {}
        """By name of a near-duplicate, what it is like."""

    def left(self) -> list[int]:
        """Indices of the tiles that stay so far, the best first."""
        stay = [k for k, name in enumerate(self.names) if name not in self.left_out]
        return sorted(stay, key=lambda k: (-self.overall[k], self.names[k]))

    def drop(self, index: int, reason: str, figures: str) -> None:
        """Leave a tile out."""
        self.left_out[self.names[index]] = reason, figures

    def drop_unscored(self) -> None:
        """Leave out tiles without a score."""
        for index in np.flatnonzero(np.isnan(self.overall)):
            self.drop(index, NO_SCORE, 'a scorer gives no finite number')

    def drop_beyond(self, scorer: str, published: np.ndarray, limit: float, lower: bool) -> None:
        """Leave out tiles that one scorer finds worse than a limit.

        Args:
            scorer: Its name.
            published: Scores of all tiles.
            limit: The worst that stays.
            lower: Whether lower is better.
        """
        sign = '>' if lower else '<'
        for index in self.left():
            if (published[index] > limit) if lower else (published[index] < limit):
                self.drop(index, f'{scorer} {sign} {limit:g}', f'{published[index]:.4g}')

    def drop_near_duplicates(
        self, fingerprints: Sequence[Sequence[str]], rules: SieveRules
    ) -> None:
        """Leave out tiles like a better one."""
        order = self.left()
        found = rules.near_duplicates([fingerprints[index] for index in order])
        for place, (twin, figures) in found.items():
            index, like = order[place], self.names[order[twin]]
            self.twins[self.names[index]] = like
            self.drop(index, NEAR_DUPLICATE, f'{figures} from {like}')

    def drop_beyond_most(self, most: int | None) -> None:
        """Leave out all but the best so many of each photograph."""
        seen: dict[str, int] = {}
        for index in self.left() if most is not None else ():
            photograph = self.photographs[index]
            seen[photograph] = seen.get(photograph, 0) + 1
            if seen[photograph] > most:
                self.drop(index, MORE_THAN_MOST, f'{most} are better')

    def drop_worst(self, best_share: float) -> None:
        """Leave out all but the best share, rounded up."""
        order = self.left()
        for index in order[int(np.ceil(best_share * len(order) - 1e-9)) :]:
            figures = f'overall {self.overall[index]:.3f}, best {best_share:g}'
            self.drop(index, NOT_AMONG_THE_BEST, figures)
