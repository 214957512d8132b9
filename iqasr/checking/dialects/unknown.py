"""Leave out, with a warning, the options of another tool's file that mean nothing here."""

from collections.abc import Iterable
from functools import partial

from iqasr.checking.basicsr_datasets import BASICSR_DATASETS
from iqasr.checking.dialects.training_set import DEGRADATION_OPTIONS, SAMPLE_OPTIONS
from iqasr.checking.dialects.translation import Translation
from iqasr.options.optimizers import find_optimizer, find_scheduler
from iqasr.options.schema import options_at, schema_names
from iqasr.options.sections import LoaderOptions, Options
from iqasr.registry import (
    DATASET_REGISTRY,
    LOSS_REGISTRY,
    METRIC_REGISTRY,
    lookup,
    nearest,
    takes_options,
)

FIXED = ('', 'path', 'train', 'val', 'logger', 'logger.wandb')
"""Sections of fixed options."""

TYPED = {
    'datasets': (DATASET_REGISTRY, [*LoaderOptions.model_fields, *SAMPLE_OPTIONS]),
    'train': (LOSS_REGISTRY, []),
    'val.metrics': (METRIC_REGISTRY, ['better']),
}
"""Where sections with a ``type`` are, and the options that are none of its arguments. Networks are
not among them: without one of its options, a network would be another."""

FINDERS = {
    'train.optim_g': find_optimizer,
    'train.optim_d': find_optimizer,
    'train.scheduler': find_scheduler,
}
"""Sections whose ``type`` is in no registry."""


def drop_unknown(file: Translation) -> None:
    """Leave out unknown options; what is of the wrong kind stays, for the check to refuse."""
    for path in FIXED:
        drop_others(file, path, options_at(Options, path.split('.') if path else ()))
    for parent, (registry, own) in TYPED.items():
        for path in file.sections(parent):
            name = file.get(f'{path}.type')
            try:
                target = FINDERS.get(path, partial(lookup, registry))(name)
            except ValueError:
                if parent == 'val.metrics':
                    reason = 'left out. calculate_quality measures LPIPS and others by a scorer.'
                    file.drop(path, f'no metric here is called {name}; {reason}')
                continue
            if name in BASICSR_DATASETS:
                drop_others(file, path, ['type', *own, *BASICSR_DATASETS[name].model_fields])
            elif not takes_options(target):
                drop_others(file, path, ['type', *own, *schema_names(target)])


def drop_others(file: Translation, path: str, known: Iterable[str]) -> None:
    """Leave out all options of a section but those known; its terms have names of their own."""
    section = file.get(path) if path else file.options
    known = [name for name in known if name != '*_opt']
    for key in [*section] if isinstance(section, dict) else ():
        if key in known or (path == 'train' and str(key).endswith('_opt')):
            continue
        del section[key]
        reason = f'unknown option, left out.{nearest(str(key), known)}'
        if str(key).removesuffix('2') in DEGRADATION_OPTIONS:
            reason = 'left out, since nothing here is degraded by it.'
        file.warn(f'{path}.{key}'.strip('.'), reason)
