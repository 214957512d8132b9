"""Agreement of scorers with people, overall and by how clear a pair is, and with each other.

A scorer that cannot tell two images apart counts as a fair coin, independent of the others: its
error is one half, and two such errors coincide in one case of four. All figures follow from the
expected number of errors of each scorer and of each two together.

Source:
    Zhang et al. (2025), Augmenting perceptual super-resolution via image quality predictors, CVPR:
    accuracy on people's preferences, and where MUSIQ is wrong. Equal scores count one half; that is
    our choice. Overlap: Jaccard (1912), the phi coefficient of Yule (1912), the kappa of Cohen
    (1960), of errors. Written here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from iqasr.analysis.bootstrap import UNKNOWN, Estimate, SourceBootstrap, ratio
from iqasr.analysis.pairs import ImagePair
from iqasr.runtime.errors import DataError

BINS = 6

Table: TypeAlias = list[list[Estimate]]
"""By scorer and other scorer; NaN for a scorer with itself."""


@dataclass(frozen=True)
class Comparisons:
    """Preferences of people and quality by M scorers, of the same n pairs."""

    names: tuple[str, ...]
    """Names of the scorers."""
    sources: np.ndarray
    """Source of each pair, (n,)."""
    p_b: np.ndarray
    """Share of people who prefer b, (n,) in [0, 1]."""
    weight: np.ndarray
    """Weight of each pair, (n,)."""
    quality: np.ndarray
    """Quality of a and of b, (n, 2, M), higher is better; NaN where a scorer has no score."""

    @classmethod
    def of(
        cls, pairs: Sequence[ImagePair], quality: Mapping[str, Mapping[str, float]]
    ) -> 'Comparisons':
        """Look up the scores of pairs.

        Args:
            pairs: The pairs.
            quality: By scorer and path, higher is better.
        """
        columns = [
            [[of_path[pair.path_a], of_path[pair.path_b]] for pair in pairs]
            for of_path in quality.values()
        ]
        return cls(
            tuple(quality),
            np.array([pair.source_id for pair in pairs]),
            np.array([pair.p_b for pair in pairs]),
            np.array([pair.weight for pair in pairs]),
            np.moveaxis(np.array(columns, dtype=np.float64), 0, -1),
        )

    def select(self, rows: np.ndarray) -> 'Comparisons':
        """Keep some of the pairs, by index or mask."""
        kept = (self.sources[rows], self.p_b[rows], self.weight[rows], self.quality[rows])
        return Comparisons(self.names, *kept)

    def select_scorers(self, names: Sequence[str]) -> 'Comparisons':
        """Keep some of the scorers."""
        columns = [self.names.index(name) for name in names]
        return replace(self, names=tuple(names), quality=self.quality[..., columns])

    def scaled(self) -> 'Comparisons':
        """Express the quality of each scorer in units of its `spread`."""
        return replace(self, quality=self.quality / self.spread)

    def decided(self, least_margin: float = 0.0) -> 'Comparisons':
        """Keep the pairs that people decided.

        Args:
            least_margin: Least \\|p_b - 0.5\\|, in [0, 0.5]. Ties are never kept.

        Raises:
            DataError: If pairs of fewer than two sources are left.
        """
        margin = np.abs(self.p_b - 0.5)
        kept = self.select((margin > 0) & (margin >= least_margin - 1e-9))
        if len(np.unique(kept.sources)) < 2:
            raise DataError(
                f'of {len(self.p_b)} pairs only {len(kept.p_b)}, of fewer than two sources, have '
                f'a winner by a margin of {least_margin:g}. Give more pairs, or a lower margin.'
            )
        return kept

    @property
    def difference(self) -> np.ndarray:
        """Quality of b minus quality of a, (n, M); 0 where a score is missing."""
        return np.nan_to_num(self.quality[:, 1] - self.quality[:, 0], nan=0.0)

    @property
    def spread(self) -> np.ndarray:
        """Half the span of the middle 68 % of the quality of each scorer, (M,); 1 where it is 0.

        For normal values this is the standard deviation. It is robust to the few images on which a
        scorer such as NIQE gives extreme values.
        """
        low, high = np.nanquantile(self.quality, [0.16, 0.84], axis=(0, 1))
        return np.where(high > low, (high - low) / 2, 1.0)

    def correct(self, difference: np.ndarray) -> np.ndarray:
        """Compare differences of quality, (n,) or (n, M), with what people prefer.

        Returns:
            1 right, 0 wrong, 0.5 where the difference is 0; of the same shape.
        """
        preferred = np.sign(self.p_b - 0.5).reshape(-1, *[1] * (difference.ndim - 1))
        return (1 + np.sign(difference) * preferred) / 2


def accuracy(
    comparisons: Comparisons, difference: np.ndarray, bootstrap: SourceBootstrap
) -> np.ndarray:
    """Compute how often scorers prefer the image that people prefer.

    Args:
        comparisons: Decided pairs.
        difference: Quality of b minus quality of a, (n, M).
        bootstrap: Resamples of the sources of these pairs.

    Returns:
        Accuracy on the data, row 0, and on every resample, (R + 1, M).
    """
    weight = comparisons.weight[:, None]
    right = bootstrap.sums(weight * comparisons.correct(difference))
    return ratio(right, bootstrap.sums(weight))


@dataclass(frozen=True)
class ReliabilityCurve:
    """Accuracy of one scorer by how clear a pair is."""

    scorer: str
    clearness: list[float]
    """Median of each bin."""
    accuracy: list[Estimate]


def reliability_curves(
    comparisons: Comparisons, clearness: np.ndarray, bootstrap: SourceBootstrap
) -> list[ReliabilityCurve]:
    """Estimate accuracy in bins of about equal numbers of pairs, one curve per scorer.

    Args:
        comparisons: Decided pairs.
        clearness: How clear each pair is, (n,) to people or (n, M) to each scorer.
        bootstrap: Resamples of the sources of these pairs.
    """
    columns = np.broadcast_to(clearness.reshape(len(clearness), -1), comparisons.difference.shape)
    correct = comparisons.correct(comparisons.difference)
    curves = []
    for name, clear, right in zip(comparisons.names, columns.T, correct.T, strict=True):
        inner = np.unique(np.quantile(clear, np.linspace(0, 1, BINS + 1)[1:-1]))
        member = np.searchsorted(inner, clear, side='left')[:, None] == np.arange(len(inner) + 1)
        member = member[:, member.any(0)]
        weight = member * comparisons.weight[:, None]
        shares = ratio(bootstrap.sums(weight * right[:, None]), bootstrap.sums(weight))
        medians = [float(np.median(clear[rows])) for rows in member.T]
        curves.append(ReliabilityCurve(name, medians, bootstrap.estimates(shares)))
    return curves


def complementarity(comparisons: Comparisons, bootstrap: SourceBootstrap) -> Mapping[str, Table]:
    """Compare the errors of every two scorers.

    Args:
        comparisons: Decided pairs.
        bootstrap: Resamples of the sources of these pairs.

    Returns:
        ``accuracy_where_wrong``: accuracy of the other where this scorer is wrong; ``oracle``:
        accuracy if one always knew which of the two to believe; ``jaccard``: pairs that both get
        wrong, of those that at least one gets wrong; ``phi``: correlation of the errors;
        ``kappa``: agreement of the errors beyond chance.
    """
    weight = comparisons.weight[:, None]
    error = 1 - comparisons.correct(comparisons.difference)
    total = bootstrap.sums(weight)[:, :, None]
    errors = bootstrap.sums(weight * error) / total[..., 0]
    both = bootstrap.sums(weight[:, None] * error[:, :, None] * error[:, None]) / total
    own, other = errors[:, :, None], errors[:, None]
    agreement = 1 - own - other + 2 * both
    by_chance = own * other + (1 - own) * (1 - other)
    tables = {
        'accuracy_where_wrong': 1 - ratio(both, np.broadcast_to(own, both.shape)),
        'oracle': 1 - both,
        'jaccard': ratio(both, own + other - both),
        'phi': ratio(both - own * other, np.sqrt(own * (1 - own) * other * (1 - other))),
        'kappa': ratio(agreement - by_chance, 1 - by_chance),
    }
    return {name: estimates_of(table, bootstrap) for name, table in tables.items()}


def estimates_of(statistic: np.ndarray, bootstrap: SourceBootstrap) -> Table:
    """Turn a statistic of each two scorers, (R + 1, M, M), into a table."""
    count = statistic.shape[1]
    return [
        [UNKNOWN if i == j else bootstrap.estimate(statistic[:, i, j]) for j in range(count)]
        for i in range(count)
    ]
