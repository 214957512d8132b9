"""The plan of a study of variants, and the option files that follow from it."""

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt

from iqasr.options.sections import OURS, Name, Section
from iqasr.report.study_runs import BICUBIC, START, StudyPlan, digest_of, options_of_test


class TestSet(Section):
    """Images to test on.

    Attributes:
        images: Folder of the images.
        only: Text file with the names of those to take, one a line, without suffix; default all.
        reduce: Factor by which they are reduced first.
        most: Take so many of them, evenly spread; default all.
        crop_px: Side of the most detailed square, which is tested; of a smaller image all is.
    """

    images: str
    only: str | None = None
    reduce: float = Field(1, ge=1)
    most: PositiveInt | None = None
    crop_px: PositiveInt = 256


class Backbone(Section):
    """A network that all variants start from.

    Attributes:
        start: Its weights, a name or a file.
        variants: Those that it takes part in; default all.
        options: What its option files have beside those of the plan.
    """

    start: str
    variants: list[str] | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class Variant(Section):
    """A training.

    Attributes:
        after: Variant from whose network, of the same seed, it starts; default the backbone.
        like: Variant whose options, and `after`, it takes over.
        options: What its option files have beside those of the plan and the backbone. ``null``
            takes away what stands there.
    """

    after: str | None = None
    like: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class VariantPlan(StudyPlan):
    """Which variants of a training are run, and how they are compared.

    Attributes:
        candidates: Data set with several ground truths, as of scripts/enhance_candidates.py.
        scorer: Short name of the scorer that chooses among them. Where ``datasets.train.quality``
            is just ``table`` or ``map``, it makes that, before the runs.
        map_stride_px: Distance of the crops of the map.
        tests: Test sets by name.
        seeds: One run of each variant for each.
        backbones: Networks by name. One after the other is done, and of each one seed after the
            other.
        options: The option file that all runs share, without names, data paths and weights. Its
            ``val`` holds the judges.
        variants: Trainings by name, each after those it starts from.
        comparisons: Pairs of variants (or ``start``) whose differences are reported.
        curve: A variant, then others of it in the order of their strength, whose differences to it
            are drawn.
    """

    candidates: str
    scorer: str = 'ranker'
    map_stride_px: PositiveInt = 32
    tests: dict[Name, TestSet] = Field(min_length=1)
    seeds: list[int] = Field(min_length=1)
    backbones: dict[Name, Backbone] = Field(min_length=1)
    variants: dict[Name, Variant] = Field(min_length=1)
    comparisons: list[tuple[str, str]] = Field(default_factory=list)
    curve: list[str] = Field(default_factory=list)

    def variants_of(self, backbone: str) -> list[str]:
        """List the variants that a backbone takes part in."""
        named = self.backbones[backbone].variants
        return [name for name in self.variants if named is None or name in named]

    def origin(self, name: str) -> str | None:
        """Name the variant from which another starts."""
        variant = self.variants[name]
        return variant.after or (self.origin(variant.like) if variant.like else None)

    def changes_of(self, name: str) -> list[dict[str, Any]]:
        """List the options of a variant, after those that it takes over."""
        variant = self.variants[name]
        return [*(self.changes_of(variant.like) if variant.like else []), variant.options]

    def content_of(self, run: 'VariantRun') -> dict[str, Any]:
        """Merge what the plan, the backbone and the variant say of a training."""
        changes = [self.backbones[run.backbone].options, *self.changes_of(run.variant)]
        return functools.reduce(merged, changes, self.options)

    def train_options(
        self, run: 'VariantRun', root: Path, quality: Callable[[str], dict[str, Any]]
    ) -> dict[str, Any]:
        """Write the option file of a training.

        Args:
            run: Which.
            root: Folder that receives it.
            quality: Gives the section that ``table`` or ``map`` stands for.
        """
        backbone = self.backbones[run.backbone]
        content = self.content_of(run)
        content.pop('val', None)
        train = content['datasets']['train']
        train |= {'name': 'candidates', 'dataroot_gt': self.candidates}
        if isinstance(train.get('quality'), str):
            train['quality'] = quality(train['quality'])
        path: dict[str, Any] = {'root': str(root), 'pretrain_network_g': backbone.start}
        if origin := self.origin(run.variant):
            before = VariantRun(run.backbone, origin, run.seed)
            models = root / 'experiments' / before.name / 'models'
            path['pretrain_network_g'] = str(models / 'net_g_latest.pth')
            averaged = self.content_of(before)['train'].get('ema_decay')
            path['param_key_g'] = 'params_ema' if averaged else 'params'
            if 'network_d' in content:
                path['pretrain_network_d'] = str(models / 'net_d_latest.pth')
        content['path'] = merged(path, content.get('path', {}))
        return {'name': run.name, 'model_type': OURS, 'manual_seed': run.seed} | content

    def test_options(
        self, name: str, root: Path, data: Path, weights: str | None, key: str = 'params'
    ) -> dict[str, Any]:
        """Write the option file of a test; arguments as in `StudyPlan.test_options`."""
        sets = {dataset: data / self.folder_of(dataset) for dataset in self.tests}
        return options_of_test(name, self.options, root, sets, weights, key)

    def folder_of(self, test: str) -> str:
        """Name the folder of a test set, by all that it depends on."""
        content = self.tests[test].model_dump() | {'scale': self.options['scale']}
        return f'{test}_{digest_of(content)}'

    def problems(self) -> list[str]:
        """List what contradicts itself in the plan."""
        problems, earlier = super().problems(), []
        for name, variant in self.variants.items():
            for word in ('after', 'like'):
                other = getattr(variant, word)
                if other is not None and other not in earlier:
                    problems.append(f'variants.{name}.{word}: {other} does not stand before it.')
            earlier.append(name)
        for name, backbone in self.backbones.items():
            there, path = set(backbone.variants or self.variants), f'backbones.{name}.variants'
            problems += [f'{path}: {x} is no variant.' for x in sorted(there - {*self.variants})]
            origins = {self.origin(x) for x in there & {*self.variants}} - {None}
            problems += [f'{path}: lacks {x}, from which others start.' for x in origins - there]
        known = {*self.variants, START, BICUBIC}
        named = [*self.curve, *(name for pair in self.comparisons for name in pair)]
        unknown = dict.fromkeys(name for name in named if name not in known)
        problems += [f'{name}: is compared, but is no variant.' for name in unknown]
        return problems


@dataclass(frozen=True)
class VariantRun:
    """One training of a study."""

    backbone: str
    variant: str
    seed: int

    @property
    def name(self) -> str:
        """Name of the run, and of its results."""
        return f'{self.backbone}-{self.variant}-seed{self.seed}'


def merged(options: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Change options section by section; None takes an option away.

    A section with another ``type`` replaces the former one.

    Example:
        >>> merged({'a': {'b': 1, 'c': 2}, 'd': 3}, {'a': {'b': 5}, 'd': None})
        {'a': {'b': 5, 'c': 2}}
    """
    result = copy.deepcopy(options)
    for name, value in changes.items():
        former = result.get(name)
        if value is None:
            result.pop(name, None)
        elif (
            isinstance(value, dict)
            and isinstance(former, dict)
            and not ('type' in value and value['type'] != former.get('type'))
        ):
            result[name] = merged(former, value)
        else:
            result[name] = copy.deepcopy(value)
    return result
