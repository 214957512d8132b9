"""A study of scorers as objectives: what does optimising each of them do to pictures?

That a scorer agrees with people says little of it as an objective: training finds whatever raises
the score. So networks are fine-tuned for each scorer at several strengths, and compared with a
control, the same run without the quality term, by other scorers and by eye.
"""

import math
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iqasr.data.files.image_files import image_names
from iqasr.data.files.photographs import read_photographs
from iqasr.enhancement.sample_dataset import write_pair
from iqasr.enhancement.squares import cut_squares
from iqasr.evaluation.evaluate import write_image
from iqasr.registry import nearest
from iqasr.report.comparison import RunComparison, compare_runs
from iqasr.report.objective_plan import ObjectivePlan, ObjectiveRun, digest_of_data
from iqasr.report.pictures import picture_rows
from iqasr.report.study_runs import BICUBIC, START, StudyRuns, list_notes
from iqasr.report.table import MARKDOWN
from iqasr.runtime.atomic_files import write_json, write_text_atomically
from iqasr.runtime.crops import spread
from iqasr.runtime.errors import DataError, OptionError
from iqasr.runtime.paths import resolve


@dataclass
class ObjectiveStudy(StudyRuns):
    """All runs of a plan; arguments as of `StudyRuns`."""

    plan: ObjectivePlan

    def run(self, network: str, objectives: Collection[str]) -> None:
        """Do the unfinished tests and trainings of a network; one that fails stops no other."""
        self.attempt(BICUBIC, lambda: self.test_network(BICUBIC, None))
        start = self.start_of(network)
        self.attempt(start, lambda: self.test_network(start, network))
        self.attempt_each([r for r in self.plan.runs_of(network) if r.objective in objectives])

    def start_of(self, network: str) -> str:
        """Name the results of a network before all runs."""
        return f'{Path(network).stem}-{START}'

    def train_options(self, run: ObjectiveRun) -> dict[str, Any]:
        """Write the option file of a training."""
        return run.train_options(self.root, self.data)

    def is_begun(self, network: str) -> bool:
        """Whether anything of a network was tried."""
        return (self.root / f'options/{self.start_of(network)}_test.yml').is_file()

    def report(self, network: str) -> str:
        """Write ``<network>.json`` and ``<network>.png``.

        Returns:
            A section in Markdown: tables, and what is missing and why.
        """
        runs, stem = self.plan.runs_of(network), Path(network).stem
        names = {BICUBIC: BICUBIC, START: self.start_of(network)}
        names |= {run.label: run.name for run in runs}
        found = {label: self.results(name, label) for label, name in names.items()}
        there = {label: results for label, results in found.items() if results is not None}
        failed = {label: self.failures[n] for label, n in names.items() if n in self.failures}
        content: dict[str, Any] = {'network': network, 'control': self.plan.control}
        parts = [f'## {stem}']
        if self.plan.control in there:
            (comparison,) = compare_runs(list(there.values()), self.plan.control)
            content['runs'] = comparison_content(comparison)
            parts.append(MARKDOWN.tables([comparison]))
            picture = picture_rows(self.picture_labels(runs), there)
            write_image(self.root / f'{stem}.png', picture)
            parts.append(f'![pictures]({stem}.png)')
        else:
            parts.append(f'Nothing to compare with: there is no result of {self.plan.control}.')
        content['failures'] = failed
        content['warnings'] = {run.label: self.warnings(run.name) for run in runs}
        write_json(content, self.root / f'{stem}.json')
        notes = [f'{name}: {x}' for name, lines in content['warnings'].items() for x in lines]
        parts += list_notes(failed, notes)
        return '\n\n'.join(parts)

    def picture_labels(self, runs: Sequence[ObjectiveRun]) -> list[list[str]]:
        """Arrange labels in rows of pictures: what to compare with, then each objective."""
        rows = {run.objective: [] for run in runs}
        for run in runs:
            rows[run.objective].append(run.label)
        rows[self.plan.control] = [BICUBIC, START, self.plan.control]
        return list(rows.values())


def comparison_content(comparison: RunComparison) -> dict[str, Any]:
    """Put a comparison into plain numbers: means, and differences with their intervals."""

    def finite(values: Sequence[float]) -> list[float | None]:
        return [value if math.isfinite(value) else None for value in values]

    content = {}
    for run, cells in zip(comparison.runs, comparison.cells, strict=True):
        metrics = dict(zip(comparison.better, cells, strict=True))
        content[run] = {
            'means': dict(zip(metrics, finite([cell.mean for cell in cells]), strict=True)),
            'differences': {m: finite(c.difference) for m, c in metrics.items() if c.difference},
        }
    return content


def make_data(plan: ObjectivePlan, target: Path) -> None:
    """Cut the patches of a study out of photographs, unless that is done.

    Args:
        plan: Says which.
        target: Folder to make: ``train`` receives patches, ``test`` the most detailed one of each
            test photograph and its bicubic reduction.

    Raises:
        DataError: If there are too few photographs, or too small ones.
    """
    if target.exists():
        return
    train, test = (resolve(folder) for folder in (plan.train, plan.test))
    partial = target.with_name(f'{target.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    names = [Path(name).stem for name in image_names(str(test))] if test.is_dir() else []
    tested = set(spread(names, plan.test_photographs))
    if len(tested) < plan.test_photographs:
        raise DataError(f'{test}: has {len(names)} photographs, test_photographs asks for more.')
    for name, image in read_photographs(str(test), plan.reduce):
        if name in tested:
            (patch,) = cut_squares(image, plan.patch_px, 1, name)
            write_pair(partial / 'test', name, patch, plan.options['scale'])
    for name, image in read_photographs(str(train), plan.reduce):
        if train != test or name not in tested:
            patches = cut_squares(image, plan.patch_px, plan.train_patches, name)
            for number, patch in enumerate(patches):
                write_image(partial / 'train' / f'{name}-{number}.png', patch[..., ::-1])
    if not (partial / 'train').is_dir():
        raise DataError(f'{train}: no photograph is left to train on. Lower test_photographs.')
    partial.replace(target)


def compare_objectives(plan_file: str, target: str, only: Sequence[str] = ()) -> str:
    """Carry out a plan: make the data, do all unfinished runs, write tables and pictures.

    Args:
        plan_file: The plan, YAML.
        target: Folder for data, runs and results. What is done by the same options and
            weights stays. At its top: ``objectives.md``, and ``<network>.json`` and
            ``<network>.png`` for each network.
        only: Names of networks and objectives to which the runs are limited, beside the control;
            of a kind that is not named, all. What is done already is reported all the same.

    Returns:
        What is in ``objectives.md``.

    Raises:
        DataError: If the photographs do not suffice.
        OptionError: If the plan cannot be carried out, or has no such name.
    """
    plan, root = ObjectivePlan.read(plan_file), Path(target).resolve()
    known = [*plan.networks, *plan.objectives]
    if unknown := [name for name in only if name not in known]:
        raise OptionError(f'{plan_file}: has no {unknown[0]}.{nearest(unknown[0], known)}')
    networks = [name for name in plan.networks if name in only] or plan.networks
    objectives = [name for name in plan.optimised if name in only] or plan.optimised
    data = root / f'data_{digest_of_data(plan)}'
    root.mkdir(parents=True, exist_ok=True)
    make_data(plan, data)
    study = ObjectiveStudy(root, plan, data)
    text = ''
    for network in networks:
        study.run(network, [plan.control, *objectives])
        text = '\n\n'.join(map(study.report, filter(study.is_begun, plan.networks)))
        write_text_atomically(f'{text}\n', root / 'objectives.md')
    return text
