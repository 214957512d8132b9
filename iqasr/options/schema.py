"""The constructor is the schema: check a section of options against what it would build."""

import inspect
import math
import re
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
)
from pydantic_core import ErrorDetails

from iqasr.registry import nearest


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | list | tuple):
        raise ValueError('should be a number')
    return value


UNION_TAG = re.compile(r'(float|int|str|bool|(list|tuple|dict|literal|is-instance|function).*\[.*)')
"""The part of an error's location by which pydantic names the member of a union it tried."""

GATHERED = re.compile(r'\*_opt\.([^.]+)')
"""Where the terms of an objective are while they are checked; a file calls each ``<name>_opt``."""

NUMBER = Annotated[Any, BeforeValidator(_number)]
"""Kind of an unannotated argument whose default is a number: a number, or several."""


@dataclass
class Problems:
    """Everything wrong with an option file, each entry with the path of its option."""

    entries: list[str] = field(default_factory=list)

    def add(self, path: str, reason: str) -> None:
        """Note that the option at `path` (dotted) is wrong."""
        self.entries.append(f'{path}: {reason}')

    def add_non_finite(self, path: str, content: Any) -> None:
        """Note every number at or below `path` that is NaN or infinite."""
        if isinstance(content, float) and not math.isfinite(content):
            self.add(path, f'is {content}; give a finite number.')
        inner = content.items() if isinstance(content, Mapping) else ()
        for key, value in enumerate(content) if isinstance(content, list) else inner:
            self.add_non_finite(f'{path}.{key}' if path else str(key), value)

    def add_booleans(self, path: str, content: Any, checked: Any) -> None:
        """Note every truth value at or below `path` that stands for a number.

        Args:
            path: Dotted path of the content.
            content: Values as read.
            checked: The same, converted; Python takes true for 1.
        """
        if isinstance(content, bool):
            if isinstance(checked, int | float) and not isinstance(checked, bool):
                self.add(path, f'should be a number, not {content}.')
        elif isinstance(content, Mapping) and isinstance(checked, Mapping):
            for key in content.keys() & checked.keys():
                self.add_booleans(f'{path}.{key}'.strip('.'), content[key], checked[key])
        elif isinstance(content, list) and isinstance(checked, list | tuple):
            for key, values in enumerate(zip(content, checked, strict=False)):
                self.add_booleans(f'{path}.{key}', *values)

    def add_validation(self, path: str, error: ValidationError, schema: Any) -> None:
        """Note every finding of pydantic below `path`, with the nearest name `schema` knows."""
        seen = []
        for detail in error.errors():
            place = (detail['loc'][:1], detail['input'])
            if place in seen and detail['type'] not in ('missing', 'extra_forbidden'):
                continue  # another member of the same union
            seen.append(place)
            parts = [str(part) for part in detail['loc'] if not UNION_TAG.fullmatch(str(part))]
            where = GATHERED.sub(r'\1_opt', '.'.join([path, *parts]).strip('.'))
            self.add(where, reason_of(detail, options_at(schema, detail['loc'][:-1])))


def reason_of(detail: ErrorDetails, known: Collection[str]) -> str:
    """Say what is wrong in a sentence that helps."""
    if detail['type'] == 'extra_forbidden':
        listing = f' There are: {", ".join(sorted(known))}.' if known else ''
        return f'unknown option.{nearest(str(detail["loc"][-1]), known) or listing}'
    if detail['type'] == 'missing':
        return 'is required and missing.'
    if detail['type'] == 'string_pattern_mismatch':
        return f'use letters, digits and . + - _ only, not {detail["input"]!r}.'
    message = detail['msg'].removeprefix('Value error, ').removeprefix('Input ').rstrip('.')
    is_unquoted = detail['type'] == 'string_type' and isinstance(detail['input'], Mapping)
    hint = '; quote a value with braces, \'"{}"\'' if is_unquoted else ''
    return f'{message}, not {detail["input"]!r}{hint}.'


def options_at(schema: Any, location: Sequence[int | str]) -> list[str]:
    """List the option names that `schema` knows at a location inside it."""
    fields = getattr(schema, '__pydantic_fields__', {})
    by_name = {field.alias or name: field.annotation for name, field in fields.items()}
    if not location:
        return list(by_name)
    annotation = by_name.get(str(location[0]))
    for candidate in (annotation, *typing.get_args(annotation)):
        if hasattr(candidate, '__pydantic_fields__'):
            return options_at(candidate, location[1:])
    return []


def schema_of(target: Callable[..., Any], provided: Collection[str] = ()) -> type[BaseModel]:
    """Turn the signature of a class or function into a pydantic model.

    Args:
        target: What a section of options builds or calls.
        provided: Arguments that do not come from the section.

    Returns:
        A model that refuses unknown names, missing arguments and values of the wrong kind.
    """
    if inspect.isclass(target) and issubclass(target, BaseModel):
        return target
    parameters = parameters_of(target).items()
    fields = {
        # Numbered names, since options may be called like an attribute of BaseModel.
        f'option_{i}': (kind, Field(default, alias=name))
        for i, (name, (kind, default)) in enumerate(parameters)
        if name not in provided
    }
    return create_model(
        getattr(target, '__name__', 'Options'),
        __config__=ConfigDict(extra='forbid', arbitrary_types_allowed=True, allow_inf_nan=False),
        **fields,
    )


def parameters_of(target: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """List the named parameters of a callable: kind of value, and default or ``...`` for none.

    A class that passes ``**kwargs`` on is completed by the parameters of its base class, unless
    that is one of Python or torch.
    """
    function = target.__init__ if inspect.isclass(target) else target
    hints = hints_of(function)
    parameters = list(inspect.signature(function).parameters.values())[inspect.isclass(target) :]
    named = {
        p.name: (kind_of(p, hints), ... if p.default is p.empty else p.default)
        for p in parameters
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    if inspect.isclass(target) and any(p.kind == p.VAR_KEYWORD for p in parameters):
        base = target.__mro__[1]
        if base.__module__.split('.')[0] not in ('builtins', 'torch', 'typing', 'abc'):
            named = named | parameters_of(base) | named
    return named


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Resolve annotations; one of a name that only type checkers import is left out."""
    hints: dict[str, Any] = {}
    names = getattr(inspect.unwrap(function), '__globals__', None)
    for name, annotation in getattr(function, '__annotations__', {}).items():
        alone = SimpleNamespace(__annotations__={name: annotation})
        with suppress(NameError, TypeError, AttributeError, SyntaxError):
            hints |= typing.get_type_hints(alone, names, include_extras=True)
    return hints


def schema_names(target: Callable[..., Any], provided: Collection[str] = ()) -> list[str]:
    """List the options that a class, a function or a pydantic model takes."""
    fields = schema_of(target, provided).model_fields
    return [field.alias or name for name, field in fields.items()]


def kind_of(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Any:
    """Find the kind of value a parameter takes: its annotation, or else that of its default."""
    if parameter.name in hints:
        return hints[parameter.name]
    default = parameter.default
    if isinstance(default, bool):
        return bool
    if isinstance(default, int | float):
        return NUMBER | None
    if isinstance(default, str):
        return str | None
    return Any


def check_section(
    problems: Problems,
    path: str,
    section: Mapping[str, Any],
    target: Callable[..., Any],
    provided: Collection[str] = (),
) -> dict[str, Any]:
    """Check a section (without its ``type``) against the signature of `target`.

    Args:
        problems: Where findings are noted.
        path: Dotted path of the section in the option file.
        section: Names and values as read.
        target: What the section builds.
        provided: Arguments that come from elsewhere.

    Returns:
        The values given, converted to the kinds the signature asks for; as read if refused.
    """
    schema = schema_of(target, provided)
    names = {field.alias or name: name for name, field in schema.model_fields.items()}
    values = {key: value for key, value in section.items() if key != 'type' or key in names}
    try:
        checked = schema.model_validate(values)
    except ValidationError as error:
        problems.add_validation(path, error, schema)
        return dict(section)
    kept = {key: getattr(checked, names[key]) for key in values}
    problems.add_booleans(path, values, kept)
    return kept | ({'type': section['type']} if 'type' in section else {})
