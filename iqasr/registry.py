"""The registries of iqasr beside those of BasicSR, and the one way to build from options."""

import difflib
import inspect
import pickle
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from basicsr.utils.registry import (
    ARCH_REGISTRY,
    DATASET_REGISTRY,
    LOSS_REGISTRY,
    METRIC_REGISTRY,
    MODEL_REGISTRY,
    Registry,
)

from iqasr.compat import tensors_only

__all__ = [
    'ARCH_REGISTRY',
    'DATASET_REGISTRY',
    'DEGRADATION_REGISTRY',
    'ENHANCER_REGISTRY',
    'GT_SAMPLER_REGISTRY',
    'LOSS_REGISTRY',
    'METRIC_REGISTRY',
    'MODEL_REGISTRY',
    'SCORER_REGISTRY',
    'build',
    'lookup',
    'nearest',
    'nearest_name',
]

GT_SAMPLER_REGISTRY = Registry('GT sampler')
"""Subclasses of `iqasr.sampling.GTSampler`."""

DEGRADATION_REGISTRY = Registry('degradation')
"""Subclasses of `iqasr.degradation.Degradation`."""

ENHANCER_REGISTRY = Registry('enhancer')
"""Subclasses of `iqasr.enhancement.Enhancer`."""

SCORER_REGISTRY = Registry('scorer')
"""Subclasses of `iqasr.quality.QualityScorer`."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest the closest known name.

    Returns:
        A sentence to append to an error message; empty when nothing is close.

    Example:
        >>> nearest('temprature', ['temperature', 'top_k'])
        " Did you mean 'temperature'?"
    """
    found = nearest_name(name, known)
    return '' if found is None else f" Did you mean '{found}'?"


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Find the closest known name, whatever its case and whether it has ``_`` or ``-``.

    Example:
        >>> nearest_name('RealESRGAN_x4plus', ['realesrgan-x4plus', 'realesrgan-x4plus-netd'])
        'realesrgan-x4plus'
    """
    folded, own = {fold(other): other for other in known}, fold(str(name))
    matches = difflib.get_close_matches(own, folded, n=3, cutoff=0.6)
    matches.sort(key=lambda match: sorted(match) != sorted(own))  # swapped letters first
    return folded[matches[0]] if matches else None


def fold(name: str) -> str:
    """Write a name without differences of case, and of ``_`` and ``-``."""
    return name.casefold().replace('_', '-')


def names_in(registry: Registry) -> dict[str, Any]:
    """List what option files may call by name.

    What iqasr registers with ``suffix='iqasr'`` takes the place of BasicSR's thing of that name.
    """
    known = {key.removesuffix('_basicsr'): value for key, value in registry}
    own = {key: value for key, value in known.items() if key.endswith('_iqasr')}
    others = {key: value for key, value in known.items() if key not in own}
    return others | {key.removesuffix('_iqasr'): value for key, value in own.items()}


OWN_CLASSES = 'Your own classes: `custom_imports: [module]`, or `--import module`.'


def lookup(registry: Registry, name: str) -> Any:
    """Find what is registered under a name.

    Raises:
        ValueError: If nothing is; the message suggests the nearest name and lists all.
    """
    known = names_in(registry)
    if not isinstance(name, str) or name not in known:
        raise ValueError(
            f"no {registry._name} is called '{name}'.{nearest(name, known)} "
            f'There are: {", ".join(sorted(known))}. {OWN_CLASSES}'
        )
    return known[name]


def takes_options(cls: Any) -> bool:
    """Tell classes that take one dict of options, as BasicSR's do, from those with a signature."""
    first = next(iter(inspect.signature(cls).parameters), None)
    return first in ('opt', 'options', 'cfg', 'config')


def build(registry: Registry, options: Mapping[str, Any], **extra: Any) -> Any:
    """Build a registered object from its section of an option file.

    Args:
        registry: Where ``options['type']`` is looked up.
        options: The section: ``type`` and constructor arguments; left untouched.
        extra: Further constructor arguments that do not come from the section.

    Returns:
        The object.

    Raises:
        ValueError: If the type is unknown, or the constructor refuses a value or reads a weight
            file that holds more than tensors and numbers, which is not run.
    """
    arguments = {key: value for key, value in options.items() if key != 'type'} | extra
    cls = lookup(registry, options['type'])
    try:
        with tensors_only():
            return cls(dict(options) | extra) if takes_options(cls) else cls(**arguments)
    except (AssertionError, NotImplementedError) as error:
        raise ValueError(f'{options["type"]}: {error}') from error
    except pickle.UnpicklingError as error:
        reason = str(error).split('\n')[0]
        raise ValueError(
            f'{options["type"]}: a weight file cannot be read safely ({reason}). It is damaged, or '
            'holds more than tensors; load it once where you trust it and save its state dict.'
        ) from error
    except VALUE_ERRORS as error:
        says_why = isinstance(error, ValueError) and cls.__module__.startswith('iqasr.')
        if says_why or is_of_its_own_kind(error):
            raise
        # What its arithmetic makes of values of the right kind, such as a width of -64.
        suspects = '' if takes_options(cls) else name_suspects(cls, (), arguments)
        reason = f'cannot be built from its options ({type(error).__name__}: {error})'
        raise ValueError(f'{options["type"]} {reason}{suspects}.') from error


VALUE_ERRORS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What is raised for values of options that nothing has checked."""


def is_of_its_own_kind(error: Exception) -> bool:
    """Tell whether an error says what is wrong by its class: weights or memory are missing."""
    return isinstance(error, RuntimeError | ValueError) and type(error) not in VALUE_ERRORS


def name_suspects(cls: Any, positional: Sequence[Any], arguments: Mapping[str, Any]) -> str:
    """Name the arguments by which a class cannot be built.

    Args:
        cls: The class.
        positional: Arguments that do not come from options.
        arguments: Its other arguments, with which it cannot be built.

    Returns:
        Words for the end of a message: the one argument without which it can be built; or else
        those that have no default.
    """
    parameters = inspect.signature(cls).parameters
    required = []
    for name, value in arguments.items():
        if name in parameters and parameters[name].default is inspect.Parameter.empty:
            required.append(f'{name}: {value!r}')
            continue
        try:
            cls(*positional, **{key: other for key, other in arguments.items() if key != name})
        except Exception:
            continue
        return f'; the reason is {name}: {value!r}'
    return f'; look at {", ".join(required)}' if required else ''
