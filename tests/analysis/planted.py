"""Scorers with planted accuracies and error overlaps, in closed form.

What people feel, h, and the differences of quality, d, are jointly normal with mean 0; people's
share is the normal distribution function of h. Then accuracy is 1/2 + asin(r) / pi by Sheppard's
formula for quadrants, and joint errors follow from that for octants.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from iqasr.analysis.agreement import Comparisons


@dataclass(frozen=True)
class Planted:
    """Scorers by their true accuracy and the share of pairs in which each two err together."""

    accuracy: np.ndarray
    both_wrong: np.ndarray
    within_source: float = 0.4
    """Share of the variance that the pairs of a source have in common."""

    @property
    def with_people(self) -> np.ndarray:
        """Correlation of d and h, (M,)."""
        return np.sin(np.pi * (self.accuracy - 0.5))

    @property
    def between(self) -> np.ndarray:
        """Correlations of d, (M, M)."""
        angle = np.arcsin(self.with_people)
        found = np.sin(2 * np.pi * (self.both_wrong - 0.25) + angle[:, None] + angle)
        np.fill_diagonal(found, 1.0)
        return found

    def draw(self, sources: int, per_source: int, generator: np.random.Generator) -> Comparisons:
        """Draw comparisons."""
        count = len(self.accuracy)
        covariance = np.eye(count + 1)
        covariance[0, 1:] = covariance[1:, 0] = self.with_people
        covariance[1:, 1:] = self.between
        root = np.linalg.cholesky(covariance)
        source = np.repeat(np.arange(sources), per_source)
        common = generator.standard_normal((sources, count + 1))[source]
        own = generator.standard_normal((len(source), count + 1))
        share = self.within_source
        felt = (np.sqrt(share) * common + np.sqrt(1 - share) * own) @ root.T
        h, d = felt[:, 0], felt[:, 1:]
        middle = generator.standard_normal(d.shape)
        quality = np.stack([middle - d / 2, middle + d / 2], 1)
        names = tuple('ABCDEF'[:count])
        return Comparisons(names, source, norm.cdf(h), np.ones(len(source)), quality)

    def truth(self) -> dict[str, np.ndarray]:
        """What is estimated: (M,) or (M, M) by name."""
        r, wrong, both = self.with_people, 1 - self.accuracy, self.both_wrong
        own, other = wrong[:, None], wrong[None]
        by_chance = own * other + (1 - own) * (1 - other)
        return {
            'accuracy': self.accuracy,
            'srocc': 6 / np.pi * np.arcsin(r / 2),
            'krocc': 2 / np.pi * np.arcsin(r),
            'plcc': np.sqrt(3 / np.pi) * r,
            'accuracy_where_wrong': 1 - both / own,
            'oracle': 1 - both,
            'jaccard': both / (own + other - both),
            'phi': (both - own * other) / np.sqrt(own * (1 - own) * other * (1 - other)),
            'kappa': (1 - own - other + 2 * both - by_chance) / (1 - by_chance),
        }

    def combined(self) -> dict[str, float]:
        """Accuracy of the best scorer, of the mean of z-scores, and of the best weights."""
        mean = self.with_people.sum() / np.sqrt(self.between.sum())
        best = np.sqrt(self.with_people @ np.linalg.solve(self.between, self.with_people))
        accuracy = {'mean of z-scores': mean, 'logistic regression': best}
        found = {name: 0.5 + np.arcsin(r) / np.pi for name, r in accuracy.items()}
        return {'best scorer': self.accuracy.max(), **found}


OVERLAPS = {(0, 1): 0.10, (0, 2): 0.08, (1, 2): 0.20}
BOTH_WRONG = np.diag([0.2, 0.3, 0.4]).astype(float)
for (i, j), overlap in OVERLAPS.items():
    BOTH_WRONG[i, j] = BOTH_WRONG[j, i] = overlap

PLANTED = Planted(np.array([0.8, 0.7, 0.6]), BOTH_WRONG)
"""The first and third err together no more than chance has it, the second and third far more."""
