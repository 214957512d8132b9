"""Which layers of a network get a low-rank adapter, and of which rank."""

import re
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt
from torch import nn

from iqasr.registry import nearest

ADAPTABLE = (nn.Conv2d, nn.Linear)
"""The kinds of layers that can be adapted."""

DEFAULT_TARGETS = {
    'RRDBNet': ['body.*', 'conv_body'],
    'SwinIR': ['*.attn.qkv', '*.attn.proj', '*.mlp.fc1', '*.mlp.fc2'],
}
"""Patterns of the layers that are adapted by default, by class of network."""


class LoRAOptions(BaseModel):
    """Which layers are adapted, and how far they can move.

    Patterns are those of the shell (``*``, ``?``, ``[...]``), for the whole name of a layer as in
    the state dict: ``body.*.conv5``.

    Attributes:
        rank: Rank of the correction of a weight; 1 is the least that it can be.
        alpha: The correction is multiplied by ``alpha / rank``; > 0.
        target: Patterns of the layers; None for `DEFAULT_TARGETS`, or, for another network, all
            its layers but the first and the last.
        ranks: Another rank for layers, by pattern; 0 leaves them as they are, the last match wins.
    """

    model_config = ConfigDict(extra='forbid', allow_inf_nan=False)

    rank: PositiveInt = 8
    alpha: float = Field(8, gt=0)
    target: list[str] | None = None
    ranks: dict[str, NonNegativeInt] = Field(default_factory=dict)


def adaptable_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Find the layers that can be adapted, in the network's order.

    Left out are subclasses, since they may use their weight in ways of their own; grouped
    convolutions, whose weight is not one matrix; layers that compute their weight from other
    parameters, as ``weight_norm`` makes them; and layers that do not train.
    """
    return {
        name: module
        for name, module in network.named_modules()
        if type(module) in ADAPTABLE
        and getattr(module, 'groups', 1) == 1
        and isinstance(module.weight, nn.Parameter)
        and module.weight.requires_grad
    }


def is_derived(key: str) -> bool:
    """Tell weights that a network computes from others, in evaluation mode, by name (SPAN)."""
    return '.eval_conv.' in key


def select_layers(network: nn.Module, options: LoRAOptions) -> dict[str, int]:
    """Choose the layers to adapt.

    Args:
        network: Network without adapters.
        options: What to choose.

    Returns:
        Rank by name of layer.

    Raises:
        ValueError: If all ranks are 0, a layer shares its weight with another, or a pattern
            matches nothing; then it lists what there is.
    """
    layers = adaptable_layers(network)
    names = list(layers)
    network_name = type(network).__name__
    target = options.target
    if target is None:
        target = DEFAULT_TARGETS.get(network_name, [])
        target = target if matching(names, target) else names[1:-1]
    if not target:
        raise ValueError(f'target: {network_name} has no layer to adapt; name layers: {names}.')
    selected = matching(names, target)
    for option, patterns, known in (
        ('target', target, names),
        ('ranks', options.ranks, selected),
    ):
        for pattern in patterns:
            if not matching(known, [pattern]):
                raise ValueError(no_match(option, pattern, known, network_name))
    ranks = dict.fromkeys(selected, options.rank)
    for pattern, rank in options.ranks.items():
        ranks |= dict.fromkeys(matching(selected, [pattern]), rank)
    if not any(ranks.values()):
        raise ValueError('ranks: leave no layer to adapt; give at least one a rank above 0.')
    selected = [name for name, rank in ranks.items() if rank]
    holders = holders_of_weights(network)
    for name in selected:
        names = holders[id(layers[name].weight)]
        if len(names) > 1:
            raise ValueError(
                f'target: {" and ".join(names)} of {network_name} are one weight, which cannot be '
                f"adapted for one layer alone. Leave it out, by ranks: {{'{name}': 0}}."
            )
    return {name: ranks[name] for name in selected}


def holders_of_weights(network: nn.Module) -> dict[int, list[str]]:
    """List by whom each weight is held, by its id; a layer used several times counts once."""
    holders: dict[int, list[str]] = {}
    for name, module in network.named_modules():
        for key, weight in module.named_parameters(name, recurse=False, remove_duplicate=False):
            holders.setdefault(id(weight), []).append(key)
    return holders


def matching(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Select the names that match any of the patterns."""
    return [name for name in names if any(fnmatchcase(name, p) for p in patterns)]


def no_match(option: str, pattern: str, names: list[str], network_name: str) -> str:
    """Say that a pattern matches nothing, and list the layers, numbered ones together."""
    groups = count_groups(names)
    listing = ', '.join(f'{group} ({count})' for group, count in groups.items())
    what = 'layer' if option == 'target' else 'adapted layer'
    hint = nearest(re.sub(r'\d+', '*', pattern), groups)
    return f"{option}: '{pattern}' matches no {what} of {network_name}.{hint} There are: {listing}."


def count_groups(names: Iterable[str]) -> Counter[str]:
    """Count names that differ in their numbers only, as one: ``body.*.conv``."""
    return Counter(re.sub(r'\d+', '*', name) for name in names)
