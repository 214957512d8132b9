"""Check the sections of an option file against what they would build, before anything is built."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iqasr.checking.dialects import FAMILIES, OURS, translate
from iqasr.checking.metrics import MetricCheck
from iqasr.checking.terms import check_terms
from iqasr.options.file import apply_overrides, read_yaml
from iqasr.options.optimizers import BACKENDS, DATASETS, INJECTED, find_optimizer, find_scheduler
from iqasr.options.schema import Problems, check_section, schema_names
from iqasr.options.sections import RECOGNISED, LoaderOptions, Options, TrainOptions, parse
from iqasr.registry import (
    DATASET_REGISTRY,
    DEGRADATION_REGISTRY,
    GT_SAMPLER_REGISTRY,
    LOSS_REGISTRY,
    SCORER_REGISTRY,
    nearest,
    takes_options,
)
from iqasr.runtime.errors import OptionError

logger = logging.getLogger('iqasr')


def load_options(
    path: str | Path, overrides: tuple[str, ...] = (), phase: str = 'train'
) -> Options:
    """Read an option file and check all of it.

    Args:
        path: The YAML file.
        overrides: ``section:option=value`` texts, applied before the check.
        phase: ``train`` or ``test``.

    Returns:
        The options, every value converted to the kind its constructor asks for.

    Raises:
        OptionError: With every problem found, each with its path, the reason and a remedy.
    """
    content = read_yaml(path)
    apply_overrides(content, overrides)
    try:
        translation = translate(content)
    except OptionError as error:
        raise OptionError(f'{path}: {error}') from None
    for warning in translation.warnings:
        logger.warning('%s', warning)
    problems = Problems()
    options = parse(translation.options, problems)
    if options is not None:
        OptionCheck(options, phase, problems).run()
    if problems.entries:
        count = len(problems.entries)
        listing = '\n'.join(f'  {entry}' for entry in problems.entries)
        raise OptionError(f'{path}: {count} problem{"s" * (count > 1)}\n{listing}')
    options.record(translation.notes, translation.warnings)
    return options


class OptionCheck(MetricCheck):
    """One pass over the sections of an option file; findings go to `problems`."""

    def run(self) -> None:
        """Check every section; values are converted in place."""
        options = self.options
        if options.model_type != OURS:
            known = [OURS, *FAMILIES]
            hint = nearest(options.model_type, known) or f' There are: {", ".join(known)}.'
            self.problems.add('model_type', f"'{options.model_type}' is unknown.{hint}")
        for key, section in options.datasets.items():
            options.datasets[key] = self.dataset(key, section)
        for phase in ('val', 'test'):
            sets = options.datasets_of(phase).items()
            names = [section.get('name', key) for key, section in sets]
            for name in sorted({name for name in names if names.count(name) > 1}):
                self.problems.add('datasets', f"two are called '{name}'; rename one.")
        self.networks()
        self.candidates()
        self.metrics()
        if not options.datasets_of(self.phase):
            self.problems.add('datasets', f"has no '{self.phase}' section.")
        if self.phase == 'train':
            self.training()
        self.adapters()

    def networks(self) -> None:
        """Check the networks; one that nothing is said of must have weights to tell it by.

        Only restored images do without a generator.
        """
        options = self.options
        needed = self.phase == 'train' or not options.is_restored
        if options.network_g != RECOGNISED:
            options.network_g = self.network('network_g', options.network_g)
        elif needed and options.path.pretrain_network_g is None:
            reason = 'is required and missing. Or give path.pretrain_network_g, which tells it.'
            self.problems.add('network_g', reason)
        if options.network_d is not None:
            options.network_d = self.network('network_d', options.network_d)

    def training(self) -> None:
        """Check what only training needs."""
        train = self.options.train
        if train is None:
            self.problems.add('train', 'is required and missing.')
            return
        if not train.terms:
            self.problems.add('train', 'has no term to minimise; give pixel_opt, for one.')
        for key, section in train.terms.items():
            train.terms[key] = self.component(f'train.{key}_opt', section, LOSS_REGISTRY)
        train.optim_g = self.found('train.optim_g', train.optim_g, find_optimizer, 'params')
        if train.optim_d is not None:
            train.optim_d = self.found('train.optim_d', train.optim_d, find_optimizer, 'params')
        if train.scheduler is not None:
            train.scheduler = self.found(
                'train.scheduler', train.scheduler, find_scheduler, 'optimizer'
            )
        self.adversary(train)
        check_terms(self.options, self.problems)
        if self.options.datasets_of('val') and self.options.val.val_freq is None:
            self.problems.add('val.val_freq', 'is required, since there are data sets to validate.')

    def adapters(self) -> None:
        """Check that adapters are trained, on a network that has learnt something."""
        if self.options.lora is None:
            return
        if self.phase != 'train':
            self.problems.add('lora', 'is for training only; test a network in models/, merged.')
        elif self.options.path.pretrain_network_g is None:
            self.problems.add('path.pretrain_network_g', 'is required by lora: what to adapt.')

    def adversary(self, train: TrainOptions) -> None:
        """Check that adversarial training has all its parts, or none."""
        for key, section in train.terms.items():
            if (key == 'gan') != str(section.get('type')).endswith('GANLoss'):
                self.problems.add(f'train.{key}_opt', 'GANLoss, and only it, belongs to gan_opt.')
        adversarial = 'gan' in train.terms
        for path, value in (
            ('network_d', self.options.network_d),
            ('train.optim_d', train.optim_d),
        ):
            if adversarial and value is None:
                self.problems.add(path, 'is required by train.gan_opt and missing.')
            elif value is not None and not adversarial:
                self.problems.add(path, 'is of no use without train.gan_opt; remove it or add one.')

    def dataset(self, key: str, section: Mapping[str, Any]) -> dict[str, Any]:
        """Check a data set against the loader's options and its own constructor."""
        path = f'datasets.{key}'
        if not re.fullmatch(r'train|(val|test)(_\w+)?', key):
            self.problems.add(path, 'call it train, val, val_2, ..., test, or test_2, ...')
            return dict(section)
        cls = self.type_of(path, section, DATASET_REGISTRY)
        if cls is None:
            return dict(section)
        suitable = DATASETS[key.split('_')[0]]
        shipped = cls.__module__.startswith(('basicsr.', 'iqasr.'))
        if shipped and cls.__name__ not in suitable:
            listing = ', '.join(suitable)
            self.problems.add(f'{path}.type', f'{cls.__name__} does not serve here; use {listing}.')
        backend = section.get('io_backend', {'type': 'disk'})
        if not isinstance(backend, Mapping) or backend.get('type') not in BACKENDS:
            self.problems.add(f'{path}.io_backend', f'give a type: {", ".join(BACKENDS)}.')
        loader = set(LoaderOptions.model_fields)
        own = set(schema_names(cls, INJECTED if not takes_options(cls) else ('phase', 'scale')))
        both = {key: value for key, value in section.items() if key in loader}
        rest = {k: v for k, v in section.items() if k not in loader}
        unknown = sorted(set(rest) - own)
        for key in unknown:
            hint = nearest(key, loader | own) or f' There are: {", ".join(sorted(loader | own))}.'
            self.problems.add(f'{path}.{key}', f'unknown option.{hint}')
        if shipped and key == 'train' and takes_options(cls):
            self.crop(f'{path}.gt_size', section.get('gt_size'))
        checked = check_section(self.problems, path, both, LoaderOptions)
        known = {k: v for k, v in rest.items() if k not in unknown}
        return (
            checked
            | {'type': section['type']}
            | check_section(self.problems, path, known, cls, () if takes_options(cls) else INJECTED)
        )

    def crop(self, path: str, size: Any) -> None:
        """Check the size of crops, if it is of the right kind at all."""
        scale = self.options.scale
        if size is None:
            self.problems.add(path, 'is required and missing.')
        elif isinstance(size, int) and size % scale:
            self.problems.add(path, f'is {size}; use a multiple of scale, {scale}.')

    def candidates(self) -> None:
        """Check sampling, quality and degradation, which belong together."""
        options = self.options
        train = options.datasets_of('train').values()
        multi_gt = any(section.get('type') == 'MultiGTDataset' for section in train)
        for name in ('sampling', 'degradation'):
            if (getattr(options, name) is not None) != multi_gt and self.phase == 'train':
                reason = 'is required by' if multi_gt else 'is of no use without'
                self.problems.add(name, f'{reason} a training set of type MultiGTDataset.')
        if options.degradation is not None:
            options.degradation = self.component(
                'degradation', options.degradation, DEGRADATION_REGISTRY, ('scale',)
            )
            section = options.degradation
            self.construct('degradation', section, DEGRADATION_REGISTRY, scale=options.scale)
        sampler = None
        if options.sampling is not None:
            options.sampling = self.component('sampling', options.sampling, GT_SAMPLER_REGISTRY)
            sampler = self.construct('sampling', options.sampling, GT_SAMPLER_REGISTRY)
        if sampler is not None and sampler.needs_quality != (options.quality is not None):
            reason = 'is required by' if sampler.needs_quality else 'is of no use to'
            self.problems.add('quality', f'{reason} {options.sampling["type"]}.')
        batch = options.datasets.get('train', {}).get('batch_size_per_gpu', 1)
        if isinstance(batch, int) and batch > 0 and options.queue_size % batch:
            reason = f'{options.queue_size} is no multiple of the batch, {batch}.'
            self.problems.add('queue_size', reason)
        if options.quality is not None:
            self.quality()

    def quality(self) -> None:
        """Check where quality comes from."""
        quality = self.options.quality
        if quality.table is not None and quality.map is not None:
            self.problems.add('quality', 'give a table or a map, not both.')
        if not quality.online and isinstance(quality.scorer, dict):
            self.problems.add(
                'quality.scorer',
                'with a table or map, give the name of one of its scorers, or nothing.',
            )
        if quality.online:
            if not isinstance(quality.scorer, dict):
                self.problems.add('quality', 'give a table, a map, or a scorer as {type: ...}.')
                return
            quality.scorer = self.component('quality.scorer', quality.scorer, SCORER_REGISTRY)
            self.refuse_chance('quality.scorer', quality.scorer)
            if quality.norm == 'zscore_dataset':
                self.problems.add('quality.norm', 'zscore_dataset needs a table or map.')
