"""Option files as text: YAML, and the overrides of the command line."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from iqasr.registry import nearest
from iqasr.runtime.errors import OptionError

ENDINGS = ('.yml', '.yaml', '.toml')
"""Of option files; what is TOML is refused by name."""


class _Loader(yaml.SafeLoader):
    """YAML that reads ``1e-4`` as a number and refuses a key given twice with different values."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: dict[str, str] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise OptionError(
                    f'line {line}: the name of an option cannot be a list or mapping.'
                )
            value = yaml.serialize(value_node)
            if seen.setdefault(key_node.value, value) != value:
                raise OptionError(f"line {line}: '{key_node.value}' is given twice; keep one.")
        return super().construct_mapping(node, deep)


EXPONENT = re.compile(r'^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$')
"""Numbers that PyYAML alone takes for text, such as ``1e-4``."""

_Loader.add_implicit_resolver('tag:yaml.org,2002:float', EXPONENT, list('-+.0123456789'))


def numbers_in(content: Any) -> Any:
    """Copy options that PyYAML alone has read, with text such as ``1e-4`` as the number it is.

    Example:
        >>> numbers_in({'lr': '1e-4', 'name': 'x'})
        {'lr': 0.0001, 'name': 'x'}
    """
    if isinstance(content, Mapping):
        return {key: numbers_in(value) for key, value in content.items()}
    if isinstance(content, list):
        return [numbers_in(value) for value in content]
    return float(content) if isinstance(content, str) and EXPONENT.match(content) else content


def flatten(content: Mapping[str, Any], prefix: str = '') -> dict[str, str]:
    """Flatten nested options to dotted names, with values as text.

    Example:
        >>> flatten({'train': {'ema_decay': 0.9, 'betas': [0.9, 0.99]}})
        {'train.ema_decay': '0.9', 'train.betas': '[0.9, 0.99]'}
    """
    flat = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f'{prefix}{key}.')
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            flat[f'{prefix}{key}'] = text
    return flat


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read an option file.

    Raises:
        OptionError: If the file is missing, empty, or not a YAML mapping; the message tells a
            format of other tools.
    """
    path = Path(path)
    if not path.is_file():
        siblings = [p.name for p in path.parent.glob('*') if p.suffix in ENDINGS]
        raise OptionError(f'{path}: there is no such option file.{nearest(path.name, siblings)}')
    text = ''
    try:
        text = path.read_text(encoding='utf-8-sig')
        content = yaml.load(text, Loader=_Loader)
    except (OptionError, yaml.YAMLError, UnicodeDecodeError) as error:
        reason = format_of_others(text) or error
        kind = '' if isinstance(error, OptionError) else 'not valid YAML: '
        raise OptionError(f'{path}: {kind}{reason}') from None
    if not isinstance(content, dict):
        reason = format_of_others(text) or 'holds no options; see options/README.md.'
        raise OptionError(f'{path}: {reason}')
    return content


def format_of_others(text: str) -> str:
    """Say whose option files are in a format that is not YAML; empty if that is not known."""
    if text.lstrip().startswith('{'):
        return 'it looks like JSON, the format of KAIR. Run it with KAIR, or describe it in YAML.'
    if re.search(r'^\s*\w+\s*=\s*\S', text, re.MULTILINE):
        return (
            'it looks like TOML, the format of neosr. Run it with neosr, or describe it in YAML; '
            'options/FAMILIES.md lists names there and here.'
        )
    return ''


def apply_overrides(content: dict[str, Any], overrides: Sequence[str]) -> None:
    """Apply ``a:b=value`` overrides (BasicSR's ``--force_yml``) to options as read.

    Raises:
        OptionError: If an override has no ``=``, or leads through something that is no section.
    """
    for override in overrides:
        keys, separator, text = override.partition('=')
        *sections, last = (key.strip() for key in keys.split(':'))
        if not separator or not last:
            raise OptionError(f"--force_yml '{override}': write it as section:option=value.")
        place = content
        for key in sections:
            place = place.setdefault(key, {}) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            raise OptionError(f"--force_yml '{override}': '{':'.join(sections)}' is no section.")
        try:
            place[last] = yaml.load(text, Loader=_Loader)
        except yaml.YAMLError as error:
            reason = f'quote a value with braces, \'{keys}="{text}"\'.' if '{' in text else error
            raise OptionError(f"--force_yml '{override}': {reason}") from None
