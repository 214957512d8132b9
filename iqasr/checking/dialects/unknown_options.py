"""Unknown options of a stock file: left out with a warning, refused if misspelt or out of place."""

from collections.abc import Iterable, Mapping
from functools import partial

from iqasr.checking.basicsr_datasets import BASICSR_DATASETS
from iqasr.checking.dialects import families
from iqasr.checking.dialects.training_set import DEGRADATION_OPTIONS, SAMPLE_OPTIONS, TRAIN_SET
from iqasr.checking.dialects.translation import NETWORKS, Translation
from iqasr.checking.training import TORCH_SECTIONS
from iqasr.options.schema import options_at, schema_names
from iqasr.options.sections import LoaderOptions, Options
from iqasr.registry import (
    ARCH_REGISTRY,
    DATASET_REGISTRY,
    LOSS_REGISTRY,
    METRIC_REGISTRY,
    lookup,
    names_in,
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
"""Where sections with a ``type`` are, and the options that are none of its arguments."""

FINDERS = {f'train.{key}': find for key, (find, _) in TORCH_SECTIONS.items()}
"""Sections whose ``type`` is in no registry."""


def drop_unknown(file: Translation) -> None:
    """Leave out unknown options, unless they are misspelt; values are for the check to refuse."""
    known = {path: options_at(Options, path.split('.') if path else ()) for path in FIXED}
    for parent, (registry, own) in TYPED.items():
        for path in file.sections(parent):
            name = file.get(f'{path}.type')
            try:
                target = FINDERS.get(path, partial(lookup, registry))(name)
            except ValueError:
                if parent == 'val.metrics' and isinstance(name, str) and not misspelt_metric(name):
                    reason = (
                        'left out. Scorers measure LPIPS, DISTS and others: '
                        '{type: calculate_quality, scorer: {type: LPIPSScorer}}.'
                    )
                    file.drop(path, f'no metric here is called {name}; {reason}')
                continue
            if name in BASICSR_DATASETS:
                known[path] = ['type', *own, *BASICSR_DATASETS[name].model_fields]
            elif not takes_options(target):
                known[path] = ['type', *own, *schema_names(target)]
    sections = [*known]
    for path in NETWORKS:
        if (cls := names_in(ARCH_REGISTRY).get(str(file.get(f'{path}.type')))) is not None:
            known[path] = schema_names(cls)
    for path in sections:
        drop_others(file, path, known)


def are_alike(first: str, second: str) -> bool:
    """Tell whether two sections are of the same kind: two metrics, for one."""
    parents = {path.rpartition('.')[0] for path in (first, second)}
    return len(parents) == 1 and parents <= TYPED.keys()


def misspelt_metric(name: str) -> bool:
    """Tell whether an unknown metric resembles a known one, by more than ``calculate_``."""
    short, known = (
        [text.removeprefix('calculate_') for text in texts]
        for texts in ([name], names_in(METRIC_REGISTRY))
    )
    return bool(nearest(short[0], known))


def drop_others(file: Translation, path: str, known: Mapping[str, Iterable[str]]) -> None:
    """Leave out all options of a section but those known; its terms have names of their own.

    What resembles an option, of ours or of the tool, is an error, unless the tool has it, too; so
    is an option of another section.

    Args:
        file: The file.
        path: Dotted path of the section.
        known: Names of options by the path of their section.
    """
    section = file.get(path) if path else file.options
    own = [name for name in known[path] if name != '*_opt']
    theirs = families.own_options(path)
    if path in ('', TRAIN_SET):
        theirs |= {f'{name}{stage}' for name in DEGRADATION_OPTIONS for stage in ('', '2')}
    for key in [*section] if isinstance(section, dict) else ():
        if key in own or (path == 'train' and str(key).endswith('_opt')):
            continue
        value = section.pop(key)
        where = f'{path}.{key}'.strip('.')
        if key in theirs and str(key).removesuffix('2') in DEGRADATION_OPTIONS:
            file.warn(where, 'left out, since nothing here is degraded by it.')
        elif key in theirs:
            file.warn(where, 'unknown option, left out.')
        elif hint := nearest(str(key), {*own, *theirs}):
            file.problems.append(f'{where}: unknown option.{hint}')
        elif places := [p for p in known if p and key in known[p] and not are_alike(p, path)]:
            file.problems.append(f'{where}: unknown option; it belongs to {", or ".join(places)}.')
        elif isinstance(value, dict) and 'type' in value:
            file.problems.append(f'{where}: unknown section.')
        else:
            file.warn(where, 'unknown option, left out.')
