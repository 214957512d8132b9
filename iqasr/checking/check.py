"""Find everything wrong with an option file, before anything is built."""

import importlib
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from iqasr.checking.components import check_weights, without
from iqasr.checking.datasets import check_datasets
from iqasr.checking.dialects.rules import translate
from iqasr.checking.metrics import check_metrics
from iqasr.checking.network_sections import check_network
from iqasr.checking.training import check_training
from iqasr.losses.anchors import DISTANCES
from iqasr.losses.pretrained_features import notice_of_features
from iqasr.options.file import apply_overrides, numbers_in, read_yaml
from iqasr.options.schema import Problems
from iqasr.options.sections import OURS, RECOGNISED, OpenOptions, Options, parse
from iqasr.pretrained import is_known, notice_of_fetch
from iqasr.registry import ARCH_REGISTRY, MODEL_REGISTRY, lookup, names_in, nearest
from iqasr.runtime.errors import OptionError
from iqasr.runtime.weights import OTHER_FORMS

logger = logging.getLogger('iqasr')

WEIGHTS = ('weights', 'pretrain_network_g', 'pretrain_network_d')
"""Options that give weights."""

ADDED = ('dist', 'rank', 'world_size', 'auto_resume', 'is_train', 'root_path')
"""Options that BasicSR adds to those of a file."""

ADDED_TO_PATH = (
    'experiments_root',
    'results_root',
    'models',
    'training_states',
    'log',
    'visualization',
)
"""Options that it adds to the section ``path``."""

ADDED_TO_DATASETS = ('phase', 'scale')
"""Options that it adds to the section of every data set."""


def load_options(
    path: str | Path,
    overrides: Sequence[str] = (),
    phase: str = 'train',
    imports: Sequence[str] = (),
) -> Options:
    """Read an option file and check all of it.

    Args:
        path: The YAML file.
        overrides: ``section:option=value`` texts, applied before the check.
        phase: ``train`` or ``test``.
        imports: Modules that register further classes, beside ``custom_imports`` of the file.

    Returns:
        The options, every value converted to the kind its constructor asks for.

    Raises:
        OptionError: With every problem found, each with its path, the reason and a remedy.
    """
    content = read_yaml(path)
    apply_overrides(content, overrides)
    try:
        refuse_non_finite(content)
        import_modules([*imports, *(content.get('custom_imports') or [])])
        translation = translate(content)
        for warning in translation.warnings:
            logger.warning('%s', warning)
        options = check(translation.options, phase, translation.problems)
    except OptionError as error:
        raise OptionError(f'{path}: {error}') from error.__cause__
    options.add_notes([*translation.notes, *(f'warning: {text}' for text in translation.warnings)])
    return options


def options_from(opt: Mapping[str, Any]) -> Options:
    """Check the dict that BasicSR makes of an option file, as a model receives it.

    Args:
        opt: As of ``basicsr.utils.options.parse_options``.

    Returns:
        The options of the file, without what BasicSR adds.

    Raises:
        OptionError: As in `load_options`.
    """
    content = without(numbers_in(opt), *ADDED)
    content['path'] = without(content.get('path', {}), *ADDED_TO_PATH)
    datasets = content.get('datasets', {}).items()
    content['datasets'] = {key: without(section, *ADDED_TO_DATASETS) for key, section in datasets}
    refuse_non_finite(content)
    import_modules(content.get('custom_imports') or [])
    return check(content, 'train' if opt['is_train'] else 'test')


def import_modules(names: Any) -> None:
    """Import the modules that register a user's own classes; from the working directory, too.

    Raises:
        OptionError: If one cannot be imported.
    """
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise OptionError(f'custom_imports: give a list of modules, as [my_lab.sr], not {names!r}.')
    if names and (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise OptionError(
                f"custom_imports: '{name}' cannot be imported ({error}). Install it, or start "
                'from the folder that holds it.'
            ) from error


def check(content: Mapping[str, Any], phase: str, found: Iterable[str] = ()) -> Options:
    """Check options as read, against the classes that they name.

    Args:
        content: The options.
        phase: ``train`` or ``test``.
        found: Problems that are known already.

    Raises:
        OptionError: With every problem found.
    """
    problems, schema = Problems([*found]), Options
    try:
        model = lookup(MODEL_REGISTRY, content.get('model_type') or OURS)
        schema = Options if getattr(model, 'options_are_checked', False) else OpenOptions
    except ValueError as error:
        problems.add('model_type', str(error))
    options = parse(content, problems, schema)
    if options is not None:
        check_sections(problems, options, phase)
    refuse(problems)
    return options


def refuse_non_finite(content: Mapping[str, Any]) -> None:
    """Refuse NaN and infinity anywhere in options as read, before anything is made of them.

    Raises:
        OptionError: With the path of each.
    """
    problems = Problems()
    problems.add_non_finite('', content)
    refuse(problems)


def refuse(problems: Problems) -> None:
    """List what was found.

    Raises:
        OptionError: If anything was.
    """
    if problems.entries:
        count = len(problems.entries)
        listing = '\n'.join(f'  {entry}' for entry in problems.entries)
        raise OptionError(f'{count} problem{"s" * (count > 1)}\n{listing}')


def check_sections(problems: Problems, options: Options, phase: str) -> None:
    """Check every section; values are converted in place."""
    check_datasets(problems, options, phase)
    check_pretrained(problems, options)
    if isinstance(options, OpenOptions):
        logger.info(
            '%s takes one dict: its options are passed on unchecked, and its runs resume as its '
            'own code resumes them.',
            options.model_type,
        )
        check_for_trainer(problems, options, phase)
        return
    check_networks(problems, options, phase)
    check_metrics(problems, options, phase)
    if phase == 'train':
        check_training(problems, options)
    elif options.lora is not None:
        problems.add('lora', 'is for training only; test a network in models/, merged.')


def check_for_trainer(problems: Problems, options: OpenOptions, phase: str) -> None:
    """Check what the trainer itself reads of the options of another model."""
    if phase == 'train' and options.train is None:
        problems.add('train', 'is required and missing.')
    elif phase == 'train' and options.train.accumulate > 1:
        problems.add('train.accumulate', f'is not possible with {options.model_type}.')
    if options.val.guard is not None:
        problems.add('val.guard', f'watches {OURS} only, not {options.model_type}.')


def check_networks(problems: Problems, options: Options, phase: str) -> None:
    """Check the networks; a generator that is not described must have weights that tell it."""
    if options.network_g != RECOGNISED:
        options.network_g = check_network(problems, 'network_g', options.network_g, options.scale)
        check_scale(problems, options)
    elif options.path.pretrain_network_g is None and (phase == 'train' or not options.is_restored):
        reason = 'is required and missing. Or give path.pretrain_network_g, which tells it.'
        problems.add('network_g', reason)
    if options.network_d is not None:
        options.network_d = check_network(problems, 'network_d', options.network_d)


def check_scale(problems: Problems, options: Options) -> None:
    """Compare the scale with what a generator of BasicSR or iqasr says, before data are blamed."""
    section, scale = options.network_g, options.scale
    cls = names_in(ARCH_REGISTRY).get(str(section.get('type')))
    if cls is None or not cls.__module__.startswith(('basicsr.', 'iqasr.')):
        return
    for key in ('upscale', 'scale'):
        found = section.get(key)
        if isinstance(found, int) and found != scale and 'shuffle_factor' not in section:
            reason = f'the network enlarges {found} times, but scale is {scale}. Use a network for'
            reason += f' {scale} times, or scale: {found} and data made for it.'
            problems.add(f'network_g.{key}', reason)


def check_pretrained(problems: Problems, options: Options) -> None:
    """Check weights to start from; models of others read files of torch only."""
    for key, kind in (('pretrain_network_g', 'network'), ('pretrain_network_d', 'discriminator')):
        weights = getattr(options.path, key)
        if weights is None:
            continue
        found = check_weights(problems, f'path.{key}', weights, kind)
        letter = key[-1]
        form, forms = getattr(options.path, f'param_key_{letter}'), ['params', 'params_ema']
        if form not in (*forms, *OTHER_FORMS):
            reason = f"'{form}' is no part of a file of weights.{nearest(form, forms)}"
            problems.add(f'path.param_key_{letter}', f'{reason} Use params or params_ema.')
        if isinstance(options, OpenOptions) and is_known(found):
            reason = f'{options.model_type} reads files: write one by scripts/export.py'
            problems.add(f'path.{key}', f'{reason} -i {weights} -o {weights}.pth.')


def notices_of_fetch(options: Options) -> list[str]:
    """Say which weights of checked options will be fetched when they are used, and their size."""
    return sorted({notice for notice in notices_in(options.as_dict()) if notice})


def notices_in(content: Any) -> Iterator[str]:
    """Find what options give as weights, by path or by name, and what their losses need."""
    if isinstance(content, list):
        for value in content:
            yield from notices_in(value)
    elif isinstance(content, Mapping):
        yield notice_of_features(content)
        if content.get('type') == 'BaseDistanceLoss':
            yield notice_of_features(DISTANCES.get(content.get('distance'), {}))
        for key, value in content.items():
            if key in WEIGHTS and isinstance(value, str):
                yield notice_of_fetch(value)
            else:
                yield from notices_in(value)
