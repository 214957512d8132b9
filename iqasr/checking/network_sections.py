"""Check the section of a network, and complete it by what the option file implies."""

import inspect
from collections.abc import Mapping
from typing import Any

from iqasr.archs.spandrel_networks import code_arguments, network_class, network_classes
from iqasr.checking.components import check_component, find_class, without
from iqasr.options.schema import Problems, check_section
from iqasr.registry import ARCH_REGISTRY, names_in, nearest_name

SCALES = ('upscale', 'upscaling_factor', 'upscale_factor', 'up_scale', 'scale')
"""What architectures of spandrel call their scale."""


def check_network(
    problems: Problems, path: str, section: Mapping[str, Any], scale: int | None = None
) -> dict[str, Any]:
    """Check a network; one of spandrel against the constructor of its architecture.

    Args:
        problems: Receives the findings.
        path: Dotted path of the section.
        section: Names and values as read.
        scale: Of the option file; that of a network of spandrel, if the section gives none.

    Returns:
        The section, its values converted, and completed by `complete`.
    """
    refuse_negative(problems, path, section)
    if (arch := meant_architecture(section.get('type'))) is not None:
        reason = f"no network is called '{section['type']}'. Did you mean {{type: spandrel, arch: "
        problems.add(f'{path}.type', f'{reason}{arch}}}?')
        return dict(section)
    if section.get('type') != 'spandrel' or 'arch' not in section:
        return check_component(problems, path, section, ARCH_REGISTRY)
    cls = find_class(problems, path, section, network_class, 'arch')
    if cls is None:
        return dict(section)
    own = complete(cls, without(section, 'arch'), scale)
    checked = check_section(problems, path, own, cls, code_arguments(cls))
    return checked | {'arch': section['arch']}


def complete(cls: type, section: Mapping[str, Any], scale: int | None) -> dict[str, Any]:
    """Add what the constructor of a network needs and the option file implies.

    Args:
        cls: Class of the network.
        section: Its arguments.
        scale: Of the option file.

    Returns:
        The arguments, with the scale, and three channels where their number has no default.
    """
    parameters, added = inspect.signature(cls).parameters, {}
    for name in ('num_in_ch', 'num_out_ch'):
        if name in parameters and parameters[name].default is inspect.Parameter.empty:
            added[name] = 3
    if scale and 'shuffle_factor' not in section:  # which divides the scale
        added |= {
            name: scale
            for name in SCALES
            if name in parameters and isinstance(parameters[name].default, int)
        }
    return added | dict(section)


def meant_architecture(kind: Any) -> str | None:
    """Find the architecture of spandrel that is nearest to the unknown ``type`` of a network.

    Returns:
        Its name; None if the type is known, or something else is nearer.
    """
    known = names_in(ARCH_REGISTRY)
    if not isinstance(kind, str) or kind in known:
        return None
    architectures = network_classes()
    found = nearest_name(kind, [*known, *architectures])
    return None if found in known else found


def refuse_negative(problems: Problems, path: str, content: Any) -> None:
    """Refuse numbers below 0 in the section of a network, whose numbers are sizes.

    Some constructors take them: a negative number of blocks is none.
    """
    if isinstance(content, int | float) and content < 0:
        problems.add(path, f'should be a number from 0 on, not {content}.')
    inner = content.items() if isinstance(content, Mapping) else ()
    for key, value in enumerate(content) if isinstance(content, list) else inner:
        refuse_negative(problems, f'{path}.{key}', value)
