"""Build registered classes with example values, so that a new one is tested without a listing."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest

from iqasr.options.schema import parameters_of
from iqasr.registry import Registry, build, lookup, names_in
from iqasr.runtime.errors import MissingWeightsError

VALUES = {float: 1.0, int: 2, bool: True}


def names_of_iqasr(registry: Registry) -> list[str]:
    """List what iqasr itself has registered, by the names of option files."""
    known = names_in(registry)
    return [name for name, target in known.items() if target.__module__.startswith('iqasr.')]


def build_example(registry: Registry, name: str, given: Mapping[str, Any] | None = None) -> Any:
    """Build a registered class; skip the test, by its name, if that is not possible here.

    Args:
        registry: Where it is registered.
        name: Its name.
        given: Arguments; others without a default get a value after their annotation.
    """
    options = dict(given or {})
    for argument, (kind, default) in parameters_of(lookup(registry, name)).items():
        if default is ... and argument not in options:
            value = example_of(kind)
            if value is None:
                pytest.skip(f'{name}: its argument `{argument}` needs an example')
            options[argument] = value
    try:
        return build(registry, {'type': name, **options})
    except (MissingWeightsError, ImportError) as error:
        pytest.skip(f'{name}: {error}')


def example_of(annotation: Any) -> Any:
    """Find a value for an argument; None if its annotation does not suggest one."""
    if get_origin(annotation) is Annotated:
        return example_of(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return get_args(annotation)[0]
    return VALUES.get(annotation)
