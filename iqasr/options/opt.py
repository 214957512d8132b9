"""Classes that take BasicSR's one dict, ``opt``, as well as the keyword arguments they name."""

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from basicsr.utils.registry import Registry
from pydantic import create_model

from iqasr.options.schema import Problems, check_section, schema_names, schema_of
from iqasr.options.sections import LoaderOptions
from iqasr.registry import build, lookup
from iqasr.runtime.errors import OptionError
from iqasr.runtime.paths import resolve

PATHS = ('dataroot', 'meta_info', 'sampling_weights')
"""Beginnings of the options of a data set that name files or folders."""

_Class = TypeVar('_Class', bound=type)


def accepts_opt(cls: _Class) -> _Class:
    """Let a data set that names its arguments be built from its section, too: ``cls(opt)``.

    The section holds ``type``, ``name``, the constructor's arguments, the loader's options, and
    what BasicSR adds: ``phase`` and ``scale``. It is checked against the signature, which stays the
    constructor's own; values are converted (BasicSR reads ``1e-4`` as a string), and relative paths
    are looked up as `iqasr.runtime.paths.resolve` does.

    Either way the object has ``opt``, with a ``name`` and a ``phase``, as BasicSR expects. Built by
    keywords, it is called like its class; its phase is ``train`` if it has a ``gt_size``.

    Raises:
        OptionError: When built from a section with options that are unknown, missing or of the
            wrong kind: all of them.

    Example:
        >>> @accepts_opt
        ... class Crops:
        ...     def __init__(self, dataroot_gt: str, *, scale: int, margin: float = 0) -> None:
        ...         self.margin = margin
        >>> Crops({'name': 'a', 'dataroot_gt': '/data', 'scale': 4, 'margin': '1e1'}).margin
        10.0
    """
    constructor = cls.__init__

    @functools.wraps(constructor)
    def construct(self: Any, *positional: Any, **named: Any) -> None:
        if len(positional) == 1 and isinstance(positional[0], Mapping) and not named:
            opt = {'name': positional[0].get('phase', cls.__name__)} | dict(positional[0])
            positional, named = (), _check_arguments(cls, opt)
        else:
            given = inspect.signature(constructor).bind_partial(self, *positional, **named)
            _, *arguments = given.arguments.items()
            phase = 'train' if given.arguments.get('gt_size') else 'val'
            opt = {'name': cls.__name__, 'phase': phase} | dict(arguments)
        self.__dict__.setdefault('opt', opt)  # a derived class has set its own
        constructor(self, *positional, **named)

    cls.__init__ = construct
    return cls


def _check_arguments(cls: Callable[..., Any], opt: Mapping[str, Any]) -> dict[str, Any]:
    """Check a section; select the constructor's arguments."""
    own = schema_names(cls)
    section = {k: v for k, v in opt.items() if k in own or k not in ('phase', 'scale')}
    schema = create_model(cls.__name__, __base__=(LoaderOptions, schema_of(cls)))
    path = f'datasets.{opt["name"]}'
    checked = checked_options(path, {'type': cls.__name__} | section, schema)
    return resolve_paths({name: checked[name] for name in own if name in checked})


def checked_options(
    path: str,
    section: Mapping[str, Any],
    target: Callable[..., Any],
    provided: Collection[str] = (),
) -> dict[str, Any]:
    """Check a section against the signature of what it builds; arguments as in `check_section`.

    Returns:
        Its values, converted.

    Raises:
        OptionError: With every problem, each with its path.
    """
    problems = Problems()
    checked = check_section(problems, path, section, target, provided)
    if problems.entries:
        raise OptionError('\n'.join(problems.entries))
    return checked


def build_checked(registry: Registry, path: str, section: Mapping[str, Any], **extra: Any) -> Any:
    """Build what a section inside another one asks for by its ``type``, values converted.

    Args:
        registry: Where the type is looked up.
        path: Dotted path of the section, for messages.
        section: ``type`` and constructor arguments.
        extra: Further constructor arguments that do not come from the section.

    Raises:
        OptionError: If the type or an option is unknown, or the constructor refuses a value.
    """
    try:
        cls = lookup(registry, section.get('type'))
        return build(registry, checked_options(path, section, cls, extra.keys()), **extra)
    except OptionError:
        raise
    except ValueError as error:
        raise OptionError(f'{path}: {error}') from error


def resolve_paths(section: Mapping[str, Any]) -> dict[str, Any]:
    """Make the paths of a data set's section absolute."""

    def absolute(value: Any) -> Any:
        if isinstance(value, list):
            return [absolute(item) for item in value]
        return str(resolve(value)) if isinstance(value, str) else value

    return {k: absolute(v) if k.startswith(PATHS) else v for k, v in section.items()}
