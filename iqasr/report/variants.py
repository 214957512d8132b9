"""A study of variants of a training: several seeds and backbones, compared with intervals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from iqasr.analysis.means import mean_estimate
from iqasr.analysis.plots import write_differences
from iqasr.data.files.image_files import decode_rgb, image_names
from iqasr.data.files.photographs import reduced
from iqasr.data.scores.score_map import score_map
from iqasr.data.scores.score_table import score_candidates
from iqasr.evaluation.evaluate import write_image
from iqasr.evaluation.result_folder import ResultFolder
from iqasr.quality import scorer_section
from iqasr.registry import SCORER_REGISTRY, build
from iqasr.report.pictures import picture_rows
from iqasr.report.study_runs import BICUBIC, START, StudyRuns, list_notes, write_test_set
from iqasr.report.table import ARROWS
from iqasr.report.variant_plan import TestSet, VariantPlan, VariantRun
from iqasr.runtime.atomic_files import write_text_atomically
from iqasr.runtime.crops import spread
from iqasr.runtime.errors import DataError
from iqasr.runtime.markdown import markdown_table
from iqasr.runtime.paths import resolve

PICTURES_A_ROW = 6

Values = Mapping[str, Mapping[int, Mapping[str, np.ndarray]]]
"""Values of the images, by variant, seed and metric."""


@dataclass
class VariantStudy(StudyRuns):
    """All runs of a plan; arguments as of `StudyRuns`."""

    plan: VariantPlan

    def make_test_sets(self) -> None:
        """Make the test sets that are not there yet."""
        for name, test in self.plan.tests.items():
            images, scale = chosen_images(test), self.plan.options['scale']
            write_test_set(self.data / self.plan.folder_of(name), images, test.crop_px, scale)

    def quality(self, kind: str) -> dict[str, Any]:
        """Score the candidates, as far as that is not done; returns the section of their quality.

        Args:
            kind: ``table`` or ``map``.
        """
        scorer = build(SCORER_REGISTRY, scorer_section(self.plan.scorer))
        folder = str(resolve(self.plan.candidates))
        if kind == 'table':
            return {'table': str(score_candidates(folder, scorer)), 'norm': 'range01'}
        crop = self.plan.options['datasets']['train']['gt_size']
        return {'map': str(score_map(folder, scorer, crop=crop, stride=self.plan.map_stride_px))}

    def run(self) -> None:
        """Do the unfinished tests and trainings; one that fails stops none that needs it not."""
        self.make_test_sets()
        self.attempt(BICUBIC, lambda: self.test_network(BICUBIC, None))
        for backbone in self.plan.backbones:
            start = self.result_name(backbone, START, 0)
            weights = self.plan.backbones[backbone].start
            self.attempt(
                start, lambda name=start, weights=weights: self.test_network(name, weights)
            )
            for seed in self.plan.seeds:
                names = self.plan.variants_of(backbone)
                self.attempt_each([VariantRun(backbone, name, seed) for name in names])
                self.report()

    def train_options(self, run: VariantRun) -> dict[str, Any]:
        """Write the option file of a training."""
        return self.plan.train_options(run, self.root, self.quality)

    def result_name(self, backbone: str, label: str, seed: int) -> str:
        """Name the results of a variant, of the start or of bicubic enlargement."""
        if label == BICUBIC:
            return BICUBIC
        return f'{backbone}-{START}' if label == START else VariantRun(backbone, label, seed).name

    def found(self, backbone: str) -> dict[str, dict[int, ResultFolder]]:
        """Read what results there are, by label and seed."""
        table: dict[str, dict[int, ResultFolder]] = {}
        for label in (BICUBIC, START, *self.plan.variants_of(backbone)):
            for seed in self.plan.seeds:
                results = self.results(self.result_name(backbone, label, seed), label)
                if results is not None:
                    table.setdefault(label, {})[seed] = results
        return table

    def report(self) -> str:
        """Write ``study.md``, and for each backbone a picture and a plot, from what is done."""
        parts = []
        for backbone in self.plan.backbones:
            found = self.found(backbone)
            if found.keys() <= {BICUBIC, START}:
                continue
            parts += [f'## {backbone}', *self.tables(found), *self.figures(backbone, found)]
        text = '\n\n'.join([*parts, *list_notes(self.failures)]) + '\n'
        write_text_atomically(text, self.root / 'study.md')
        return text

    def tables(self, found: Mapping[str, Mapping[int, ResultFolder]]) -> Iterator[str]:
        """Yield the tables of all test sets together, then of each."""
        names = list(self.plan.tests)
        directions = next(iter(found[next(iter(found))].values())).better
        for sets in (names, *([name] for name in names if len(names) > 1)):
            values = values_of(found, sets)
            yield f'### {", ".join(sets)}'
            yield variant_tables(values, directions, self.plan.comparisons)

    def figures(
        self, backbone: str, found: Mapping[str, Mapping[int, ResultFolder]]
    ) -> Iterator[str]:
        """Write the pictures and the trade-off curve; yields the Markdown that shows them."""
        first = {label: next(iter(runs.values())) for label, runs in found.items()}
        names = [name for name in self.plan.variants_of(backbone) if name in found]
        labels = [BICUBIC, START, *names]
        rows = [labels[i : i + PICTURES_A_ROW] for i in range(0, len(labels), PICTURES_A_ROW)]
        picture = picture_rows(rows, first, dataset=next(iter(self.plan.tests)))
        write_image(self.root / f'{backbone}.png', picture)
        yield f'![pictures]({backbone}.png)'
        base, *others = [name for name in self.plan.curve if name in found] or ['']
        if others and base == self.plan.curve[0]:
            values = values_of(found, list(self.plan.tests))
            curves = {
                f'{metric}{ARROWS[better]}': [
                    mean_estimate(paired_differences(values, name, base, metric)) for name in others
                ]
                for metric, better in first[base].better.items()
            }
            title = f'{backbone}: difference to {base}'
            write_differences(self.root / f'{backbone}_curve.png', curves, others, title)
            yield f'![trade-off]({backbone}_curve.png)'


def chosen_images(test: TestSet) -> Iterator[tuple[str, np.ndarray]]:
    """Read the images of a test set.

    Raises:
        DataError: If one that is named is missing.
    """
    folder = resolve(test.images)
    files = {Path(name).stem: folder / name for name in image_names(str(folder))}
    if test.only is not None:
        names = resolve(test.only).read_text(encoding='utf-8').splitlines()
        if missing := [name for name in names if name not in files]:
            raise DataError(f'{test.images}: has no image {missing[0]}, which {test.only} names.')
        files = {name: files[name] for name in names}
    names = list(files)
    if test.most is not None:
        names = spread(names, test.most)
    for name in names:
        yield name, reduced(decode_rgb(files[name].read_bytes(), str(files[name])), test.reduce)


def values_of(found: Mapping[str, Mapping[int, ResultFolder]], sets: Sequence[str]) -> Values:
    """Read the values of test sets, put one after the other."""
    return {
        label: {
            seed: {
                metric: np.array(
                    [row[metric] for name in sets for row in results.values(name).values()]
                )
                for metric in results.better
            }
            for seed, results in runs.items()
        }
        for label, runs in found.items()
    }


def paired_differences(values: Values, name: str, other: str, metric: str) -> np.ndarray:
    """Subtract the values of another variant, paired by seed and image: seeds x images."""
    seeds = [seed for seed in values[name] if seed in values[other]]
    return np.array([values[name][s][metric] - values[other][s][metric] for s in seeds])


def variant_tables(
    values: Values, directions: Mapping[str, str | None], comparisons: Sequence[tuple[str, str]]
) -> str:
    """Write the means of variants, and their differences paired by seed and image.

    Args:
        values: Of the variants that were tested.
        directions: By metric, ``higher`` or ``lower``.
        comparisons: Pairs of a variant and the one with which it is compared.

    Returns:
        Two Markdown tables. Intervals are of 95 %, over seeds and images.
    """
    metrics = [f'{metric}{ARROWS[better]}' for metric, better in directions.items()]
    means = [
        [
            name,
            '-' if name in (BICUBIC, START) else str(len(runs)),
            *(f'{mean_of(runs, metric):.3f}' for metric in directions),
        ]
        for name, runs in values.items()
    ]
    gains = []
    for name, other in comparisons:
        if name in values and other in values and values[name].keys() & values[other].keys():
            pairs = {m: paired_differences(values, name, other, m) for m in directions}
            seeds = str(len(next(iter(pairs.values()))))
            cells = [mean_estimate(table).as_difference() for table in pairs.values()]
            gains.append([f'{name} - {other}', seeds, *cells])
    tables = ((['variant', 'seeds', *metrics], means), (['difference', 'seeds', *metrics], gains))
    return '\n\n'.join(markdown_table(head, rows) for head, rows in tables)


def mean_of(runs: Mapping[int, Mapping[str, np.ndarray]], metric: str) -> float:
    """Mean over seeds and images."""
    return float(np.nanmean([values[metric] for values in runs.values()]))


def compare_variants(plan_file: str, target: str, *, only_report: bool = False) -> str:
    """Carry out a plan: score candidates, do all unfinished runs, write tables and pictures.

    Args:
        plan_file: The plan, YAML.
        target: Folder for runs and results. What is done by the same options and weights
            stays. At its top: ``study.md``; for each backbone ``<backbone>.png`` and
            ``<backbone>_curve.png``.
        only_report: Write these from what is done.

    Returns:
        What is in ``study.md``.

    Raises:
        DataError: If images or candidates are missing.
        OptionError: If the plan cannot be carried out.
    """
    plan, root = VariantPlan.read(plan_file), Path(target).resolve()
    study = VariantStudy(root, plan, root / 'tests')
    if not only_report:
        root.mkdir(parents=True, exist_ok=True)
        study.run()
    return study.report()
