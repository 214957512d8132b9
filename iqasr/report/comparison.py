"""Comparison of runs on a test set, image by image."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from iqasr.analysis.bootstrap import Estimate
from iqasr.analysis.means import mean_estimate
from iqasr.evaluation.result_folder import ResultFolder, common_test_sets
from iqasr.registry import nearest
from iqasr.runtime.errors import DataError


@dataclass(frozen=True)
class Cell:
    """The result of a run in one metric."""

    mean: float
    best: bool
    difference: Estimate | None
    """Mean difference to the baseline; None for the baseline itself."""

    verdict: str
    """``better``, ``worse`` or ``different`` if the interval excludes 0, else empty."""


@dataclass(frozen=True)
class RunComparison:
    """The values of all runs on one test set.

    Args:
        dataset: Name of the test set.
        runs: Names of the runs.
        images: Names of the images.
        better: Direction of each metric, as in `ResultFolder`.
        values: Runs x metrics x images; NaN where there is no value.
        baseline: Index of the run with which the others are compared.
    """

    dataset: str
    runs: list[str]
    images: list[str]
    better: dict[str, str | None]
    values: np.ndarray
    baseline: int = 0

    @cached_property
    def means(self) -> np.ndarray:
        """Means over the images that have a value, runs x metrics."""
        known = np.isfinite(self.values)
        total = np.where(known, self.values, 0).sum(2)
        return np.where(known.any(2), total / np.maximum(known.sum(2), 1), np.nan)

    @cached_property
    def differences(self) -> np.ndarray:
        """Differences to the baseline, runs x metrics x images."""
        return self.values - self.values[self.baseline]

    @cached_property
    def cells(self) -> list[list[Cell]]:
        """One row per run, one cell per metric."""
        return [
            [self.cell(run, column) for column in range(len(self.better))]
            for run in range(len(self.runs))
        ]

    def cell(self, run: int, column: int) -> Cell:
        """Result of a run in one metric."""
        better = list(self.better.values())[column]
        mean, rivals = float(self.means[run, column]), self.means[:, column]
        extreme = {'higher': np.fmax, 'lower': np.fmin}.get(better)
        best = extreme is not None and mean == extreme.reduce(rivals)
        if run == self.baseline:
            return Cell(mean, best, None, '')
        difference = mean_estimate(self.differences[run, column][None])
        return Cell(mean, best, difference, classify(difference, better))


def classify(difference: Estimate, better: str | None) -> str:
    """Classify a difference as in `Cell.verdict`."""
    if not difference.excludes_zero:
        return ''
    if better is None:
        return 'different'
    return 'better' if (difference.value > 0) == (better == 'higher') else 'worse'


def compare_runs(
    results: Sequence[ResultFolder], baseline: str | None = None
) -> list[RunComparison]:
    """Compare runs on every test set that they have in common.

    Args:
        results: Result folders.
        baseline: Name of the run with which the others are compared; default the first.

    Raises:
        DataError: If there is no such run, the images of a test set differ, or the runs disagree
            about the direction of a metric.
    """
    names = [r.name for r in results]
    if baseline is not None and baseline not in names:
        raise DataError(
            f'baseline {baseline}: is not among the runs {", ".join(names)}.'
            f'{nearest(baseline, names)}'
        )
    better = collect_directions(results)
    index = 0 if baseline is None else names.index(baseline)
    return [compare_on(results, dataset, better, index) for dataset in common_test_sets(results)]


def compare_on(
    results: Sequence[ResultFolder], dataset: str, better: dict[str, str | None], baseline: int
) -> RunComparison:
    """Compare runs on one test set."""
    tables = [r.values(dataset) for r in results]
    images = list(tables[0])
    problems = [
        f'{r.folder}: {dataset} has {"" if image in table else "no "}image {image}, unlike '
        f'{results[0].folder}. Compare runs on the same test set.'
        for r, table in zip(results, tables, strict=True)
        for image in sorted(table.keys() ^ tables[0].keys())
    ]
    if problems:
        raise DataError(problems)
    used = {m: d for m, d in better.items() if any(m in r.sets[dataset]['means'] for r in results)}
    values = np.array(
        [[[t[image].get(m, np.nan) for image in images] for m in used] for t in tables]
    ).reshape(len(tables), len(used), len(images))
    return RunComparison(dataset, [r.name for r in results], images, used, values, baseline)


def collect_directions(results: Sequence[ResultFolder]) -> dict[str, str | None]:
    """Collect the directions of the metrics of all runs.

    Raises:
        DataError: If the runs disagree about a direction.
    """
    better: dict[str, str | None] = {}
    for r in results:
        for metric, direction in r.better.items():
            if better.setdefault(metric, direction) != direction:
                raise DataError(
                    f'{r.folder}: {metric} is better when {direction}, in {results[0].folder} '
                    f'{better[metric]}. Test again with the same metrics.'
                )
    return better


def describe_steps(comparison: RunComparison) -> str:
    """Say in words what each run did to the pictures of the one before it.

    Better or worse is only what the 95 % interval over images says; of one image there is none.

    Example: ``amo, after original: better by RANKER (5 of 6 images); no clear difference by PSNR
    (1 of 6 images).``, with how many images gain.
    """
    lines = []
    for number, run in enumerate(comparison.runs[1:], 1):
        said: dict[str, list[str]] = {'better': [], 'worse': [], 'no clear difference': []}
        steps = comparison.values[number] - comparison.values[number - 1]
        for (metric, better), step in zip(comparison.better.items(), steps, strict=True):
            known = step[np.isfinite(step)]
            if better and known.any():
                gains = known > 0 if better == 'higher' else known < 0
                verdict = classify(mean_estimate(step[None]), better) or 'no clear difference'
                said[verdict].append(f'{metric.upper()} ({gains.sum()} of {gains.size} images)')
        parts = [f'{word} by {", ".join(names)}' for word, names in said.items() if names]
        lines.append(
            f'{run}, after {comparison.runs[number - 1]}: {"; ".join(parts) or "the same"}.'
        )
    return '\n'.join(lines)
