"""The plan of a study of objectives, and the option files that follow from it."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveFloat, PositiveInt

from iqasr.options.sections import OURS, Name
from iqasr.quality import scorer_section
from iqasr.report.study_runs import StudyPlan, digest_of, options_of_test

TESTED = 'photographs'
"""Name of the test set."""

DATA_OPTIONS = {'train', 'test', 'reduce', 'patch_px', 'train_patches', 'test_photographs'}
"""Options of a plan on which its data depend, beside the scale."""


class ObjectivePlan(StudyPlan):
    """Which networks are fine-tuned for which scorers, and what judges the outcome.

    Attributes:
        networks: Weights to start from, names or files.
        train: Folder of photographs to train on.
        test: Folder of photographs to test on. Those that are tested are left out of training, so
            that it may be the same.
        reduce: Factor by which photographs are reduced first.
        patch_px: Side of the patches that are cut out of them, in pixels; a multiple of the scale.
        train_patches: Patches of each photograph to train on, the most detailed ones.
        test_photographs: How many photographs are tested, each by its most detailed patch.
        objectives: By name, the scorer that is optimised: its short name, its section, or a section
            ``quality_opt`` with a ``scorer``. One is null: the control, without a quality term.
        strengths: Each objective is run with each of these as ``gradient_ratio``.
        iterations: Iterations of a run; for all networks, or by network.
        options: The option file that all runs share, without names, data paths and weights. Its
            ``train.quality_opt`` holds what all quality terms share, its ``val`` the judges.
    """

    networks: list[str] = Field(min_length=1)
    train: str
    test: str
    reduce: float = Field(1, ge=1)
    patch_px: PositiveInt = 256
    train_patches: PositiveInt = 4
    test_photographs: int = Field(8, ge=2)
    objectives: dict[Name, str | dict[str, Any] | None]
    strengths: list[PositiveFloat] = Field(min_length=1)
    iterations: PositiveInt | dict[str, PositiveInt]

    @property
    def control(self) -> str:
        """Name of the control."""
        return next(name for name, objective in self.objectives.items() if objective is None)

    @property
    def optimised(self) -> list[str]:
        """Names of the objectives but the control."""
        return [name for name, objective in self.objectives.items() if objective is not None]

    def quality_opt(self, objective: str) -> dict[str, Any]:
        """Write the own part of the quality term of an objective.

        Raises:
            ValueError: If there is no such scorer.
            ImportError: If it is one of pyiqa, which is not installed.
        """
        section = self.objectives[objective]
        if isinstance(section, dict) and 'scorer' in section:
            return section
        options = {'type': section} if isinstance(section, str) else dict(section)
        return {'scorer': scorer_section(options.pop('type', ''), options)}

    def runs_of(self, network: str) -> list['ObjectiveRun']:
        """List the trainings of a network, the control first."""
        weak_to_strong = [(name, s) for name in self.optimised for s in self.strengths]
        return [
            ObjectiveRun(self, network, *run) for run in ((self.control, None), *weak_to_strong)
        ]

    def val(self) -> dict[str, Any]:
        """Write the section ``val`` of a test: the judges, and the scorer of every objective."""
        val = copy.deepcopy(self.options.get('val', {}))
        border, judges = val.get('panel_crop_border', 0), val.get('metrics', {})
        own = {
            name: {
                'type': 'calculate_quality',
                'scorer': self.quality_opt(name)['scorer'],
                'crop_border': border,
            }
            for name in self.optimised
            if name not in val.get('panel', [])
        }
        return val | {'metrics': judges | own}

    def test_options(
        self, name: str, root: Path, data: Path, weights: str | None, key: str = 'params'
    ) -> dict[str, Any]:
        """Write the option file of a test; arguments as in `StudyPlan.test_options`."""
        shared = self.options | {'val': self.val()}
        return options_of_test(name, shared, root, {TESTED: data / 'test'}, weights, key)

    def problems(self) -> list[str]:
        """List what contradicts itself in the plan."""
        absent = super().problems()
        problems = [*absent]
        if sum(objective is None for objective in self.objectives.values()) != 1:
            problems.append(
                'objectives: give exactly one as null, the control without quality term.'
            )
        names = [Path(network).stem for network in self.networks]
        if len({*names, 'bicubic'}) <= len(names):
            problems.append('networks: their files need different names, none of them bicubic.')
        if isinstance(self.iterations, dict) and (
            missing := [network for network in self.networks if network not in self.iterations]
        ):
            problems.append(f'iterations: give a number for {", ".join(missing)}, too.')
        if not absent and self.patch_px % self.options['scale']:
            problems.append(f'patch_px: use a multiple of the scale, {self.options["scale"]}.')
        for name in self.optimised:
            try:
                scorer = {k: v for k, v in self.quality_opt(name)['scorer'].items() if k != 'range'}
                val = self.options.get('val', {})
                other = name in val.get('panel', []) and scorer != scorer_section(name)
                if other or name in val.get('metrics', {}):
                    problems.append(f'objectives.{name}: val judges by another one; rename it.')
            except (ValueError, ImportError) as error:
                problems.append(f'objectives.{name}: {error}')
        return problems


@dataclass(frozen=True)
class ObjectiveRun:
    """One training of a study."""

    plan: ObjectivePlan
    network: str
    objective: str
    strength: float | None
    """Its ``gradient_ratio``; None for the control."""

    @property
    def label(self) -> str:
        """Objective and strength."""
        return ' '.join([self.objective, *([f'{self.strength:g}'] if self.strength else [])])

    @property
    def name(self) -> str:
        """Name of the run, and of its results."""
        return f'{Path(self.network).stem}-{self.label.replace(" ", "-")}'

    def train_options(self, root: Path, data: Path) -> dict[str, Any]:
        """Write the option file of the training; arguments as in `StudyPlan.test_options`."""
        content = copy.deepcopy(self.plan.options)
        content.pop('val', None)
        train = content['train']
        shared = train.pop('quality_opt', {})
        if self.strength is not None:
            own = self.plan.quality_opt(self.objective)
            term = {'type': 'QualityLoss'} | shared | own | {'gradient_ratio': self.strength}
            train['quality_opt'] = term
        iterations = self.plan.iterations
        if isinstance(iterations, dict):
            iterations = iterations[self.network]
        train['total_iter'] = iterations
        content['datasets']['train'] |= {'name': 'photographs', 'dataroot_gt': str(data / 'train')}
        path = {'pretrain_network_g': self.network, 'root': str(root)}
        content['path'] = content.get('path', {}) | path
        return {'name': self.name, 'model_type': OURS} | content


def digest_of_data(plan: ObjectivePlan) -> str:
    """Identify the data of a plan by what they depend on, eight hex digits."""
    return digest_of(plan.model_dump(include=DATA_OPTIONS) | {'scale': plan.options['scale']})
