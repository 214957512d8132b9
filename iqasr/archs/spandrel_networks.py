"""The architectures of spandrel: built by name, or recognised from weights alone.

Source:
    https://github.com/chaiNNer-org/spandrel, which holds the networks and recognises them. With
    ``spandrel_extra_arches`` installed, those under other licences are found, too.
"""

import functools
import importlib.util
import inspect
import logging
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from iqasr.archs.attention_masks import remember_masks
from iqasr.archs.sizes import SizeRequirements, require_sizes
from iqasr.options.lora import count_groups, is_derived
from iqasr.registry import ARCH_REGISTRY, build, nearest

if TYPE_CHECKING:
    from spandrel import ArchRegistry, ModelDescriptor

logger = logging.getLogger('iqasr')

OWN_SIZES = {'SAFMN': SizeRequirements(minimum=8)}
"""Sizes of input where spandrel asks for more than a network needs: padding what it pools over the
whole image would change its output."""


@functools.cache
def known_architectures() -> 'ArchRegistry':
    """Return the registry of spandrel, which takes seconds to import."""
    import spandrel as library

    if importlib.util.find_spec('spandrel_extra_arches') is not None:
        import spandrel_extra_arches

        spandrel_extra_arches.install(ignore_duplicates=True)
    return library.MAIN_REGISTRY


@functools.cache
def network_classes() -> dict[str, type[nn.Module]]:
    """List the networks by name: that of the architecture, or of each class if it has several."""
    classes: dict[str, type[nn.Module]] = {}
    for support in known_architectures():
        (network,) = typing.get_args(type(support.architecture).__orig_bases__[0])
        members = typing.get_args(network)
        classes |= {cls.__name__: cls for cls in members} or {support.architecture.id: network}
    return classes


def find_architecture(name: str) -> str | None:
    """Find the architecture of a network by its own name or that of its class; None if unknown."""
    classes = network_classes()
    return name if name in classes else {c.__name__: a for a, c in classes.items()}.get(name)


def network_class(arch: str) -> type[nn.Module]:
    """Find the class of a network.

    Raises:
        ValueError: If spandrel has none of that name; the message suggests the nearest and lists
            all.
    """
    classes = network_classes()
    if arch not in classes:
        raise ValueError(
            f"spandrel has no architecture '{arch}'.{nearest(arch, classes)} There are: "
            f'{", ".join(sorted(classes, key=str.lower))}.'
        )
    return classes[arch]


def code_arguments(cls: type[nn.Module]) -> list[str]:
    """List the arguments whose default is a class or function: no option file can give them."""
    parameters = inspect.signature(cls).parameters.values()
    return [p.name for p in parameters if p.default is not p.empty and callable(p.default)]


@ARCH_REGISTRY.register()
def spandrel(arch: str, **options: Any) -> nn.Module:
    """Build a network of spandrel.

    Args:
        arch: Name of the architecture, such as ``HAT``.
        options: Arguments of its constructor.

    Returns:
        The network itself, so that its weights have the names spandrel and others know.

    Raises:
        ValueError: If there is no such architecture, or it refuses the options.
    """
    cls = network_class(arch)
    try:
        network = cls(**options)
    except Exception as error:
        raise ValueError(f'{arch} cannot be built from its options: {error!r}.') from error
    try:
        found = recognise(network.state_dict(), arch)
    except ValueError as error:
        logger.warning('Weights of this %s will load here, but not elsewhere: %s', arch, error)
        return network
    return prepare_network(network, found)


def recognise(weights: Mapping[str, Tensor], path: Any) -> 'ModelDescriptor':
    """Recognise a network from its weights.

    Args:
        weights: State dict, as of `iqasr.runtime.weights.parameters_in`.
        path: For messages.

    Returns:
        What spandrel knows of it; ``model`` is the network, with these weights.

    Raises:
        ValueError: If spandrel does not recognise it; the message says what is there.
    """
    import spandrel as library

    registry = known_architectures()
    weights = dict(weights)
    try:
        return registry.load(weights)
    except library.UnsupportedModelError:
        reason = 'no architecture that spandrel knows'
    except Exception as error:
        fitting = [s.architecture.id for s in registry.architectures('detection')
                   if s.detect(weights)]  # fmt: skip
        reason = f'resembles {fitting[0]}, but spandrel cannot read it so ({brief(error)})'
    raise ValueError(
        f'{path}: {reason}. It holds {summary(weights)}. Name the network in network_g '
        'of an option file.'
    )


def brief(error: Exception) -> str:
    """Shorten what torch says of weights that do not fit, a line each, to the first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) < 2:
        return repr(error)
    rest = f' And {len(lines) - 2} more.' if len(lines) > 2 else ''
    return f'{lines[0]} {lines[1]}{rest}'


def summary(weights: Mapping[str, Tensor]) -> str:
    """Describe weights in a line: how many, and their groups of names, numbered ones together."""
    groups = count_groups(name.split('.weight')[0].split('.bias')[0] for name in weights)
    listing = [f'{group} ({count})' for group, count in groups.items()]
    more = f' and {len(listing) - 8} other groups' if len(listing) > 8 else ''
    return f'{len(weights)} weights: {", ".join(listing[:8])}{more}'


def network_of(weights: Mapping[str, Tensor], path: Any) -> tuple[nn.Module, dict[str, Any]]:
    """Make the network that weights are of.

    Networks of the registry that know their weights, by a class method ``options_of``, come before
    those of spandrel.

    Args:
        weights: State dict, as of `iqasr.runtime.weights.parameters_in`.
        path: For messages.

    Returns:
        The network with these weights, which keep their names; and the section ``network_g`` that
        builds it.

    Raises:
        ValueError: If the weights are not recognised, or their network needs more than an image.
    """
    import spandrel as library

    section = registered_section(weights)
    if section is not None:
        return build_with(weights, section), section
    found = recognise(weights, path)
    arch = found.architecture.id
    if isinstance(found, library.MaskedImageModelDescriptor) or found.purpose == 'FaceSR':
        raise ValueError(f'{path}: a {arch} network, for {found.purpose}; iqasr has no use.')
    if arch == 'ESRGAN' and 'conv_first.weight' in weights:
        # spandrel renames these weights, after which stock BasicSR would not know them.
        section = basicsr_section(found)
        return build_with(weights, section), section
    options = {k: v for k, v in found.model.hyperparameters.items() if not callable(v)}
    cls = type(found.model)
    name = arch if network_classes().get(arch) is cls else cls.__name__
    return prepare_network(found.model, found), {'type': 'spandrel', 'arch': name, **options}


def registered_section(weights: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """Write the section of the network that knows weights for its own; None if none does."""
    for name, cls in ARCH_REGISTRY:
        options = cls.options_of(weights) if hasattr(cls, 'options_of') else None
        if options is not None:
            return {'type': name, **options}
    return None


def build_with(weights: Mapping[str, Tensor], section: Mapping[str, Any]) -> nn.Module:
    """Build a network of the registry with its weights."""
    network = build(ARCH_REGISTRY, section)
    network.load_state_dict(weights)
    require_sizes(network, section)
    return network


def basicsr_section(found: 'ModelDescriptor') -> dict[str, Any]:
    """Write an ESRGAN as the options of BasicSR's ``RRDBNet``."""
    return {
        'type': 'RRDBNet',
        'num_in_ch': found.input_channels,
        'num_out_ch': found.output_channels,
        'scale': found.scale,
        'num_feat': found.model.hyperparameters['num_filters'],
        'num_block': found.model.hyperparameters['num_blocks'],
    }


def prepare_network(network: nn.Module, found: 'ModelDescriptor') -> nn.Module:
    """Make a network of spandrel train like any other.

    It notes which sizes of input it takes, leaves its input as it is, remembers its masks, and does
    not count weights as trained that it computes from others.
    """
    sizes = found.size_requirements
    network.size_requirements = OWN_SIZES.get(found.architecture.id) or SizeRequirements(
        max(1, sizes.minimum), sizes.multiple_of, sizes.square
    )
    network.register_forward_pre_hook(copy_input)  # RCAN multiplies its input in place
    remember_masks(network)
    for name, parameter in network.named_parameters():
        if is_derived(name):
            parameter.requires_grad_(False)
    return network.train()


def copy_input(network: nn.Module, arguments: tuple[Tensor]) -> Tensor:
    """Give a network a copy of its input."""
    return arguments[0].clone()


@torch.no_grad()
def differs_when_reloaded(network: nn.Module, lq: Tensor) -> str | None:
    """Compare a network with what spandrel makes of its weights.

    Args:
        network: In evaluation mode.
        lq: Input to compare on, :math:`(N, 3, H, W)` in [0, 1].

    Returns:
        The options that the weights do not tell, and spandrel takes for others; None if both give
        the same.
    """
    found = recognise(network.state_dict(), type(network).__name__).model.eval()
    if torch.allclose(found(lq.clone()), network(lq), atol=1e-5):
        return None
    own, read = getattr(network, 'hyperparameters', {}), found.hyperparameters
    return ', '.join(f'{k} {v}, read as {read.get(k)}' for k, v in own.items() if read.get(k) != v)
