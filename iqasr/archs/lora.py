"""Low-rank adapters: train a small correction of chosen weights, the network itself frozen.

The correction is added to the weight, once per forward pass, so that a training step costs what
that of the plain network costs whatever the size of the image; two more layers over the image
would not. The weights of the network keep their names: adapters only add ``<layer>.lora_a`` and
``<layer>.lora_b``.

Source:
    Hu et al. (2022), LoRA: Low-Rank Adaptation of Large Language Models, eq. 3 and section 4.1.
    For convolutions: a k x k convolution to `rank` channels followed by a 1 x 1 convolution, which
    is the same product of matrices. Implementation: written here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from iqasr.options.lora import LoRAOptions, adaptable_layers, select_layers


class Adapted:
    """The part of an adapted layer beside its weight and bias.

    Its ``weight`` is the adapted one, for its own forward pass and for networks that merge or
    reuse the weights of their layers themselves; that of the state dict stays the base.

    Attributes:
        lora_a: :math:`(r, I)`, from the I inputs of one output value.
        lora_b: :math:`(O, r)`, to the output channels; 0 at first.
        lora_alpha: The correction is multiplied by ``alpha / rank``.
        lora_scale: The knob: 0 is the layer without adapter, 1 as it was trained.
    """

    lora_a: nn.Parameter
    lora_b: nn.Parameter
    lora_alpha: float
    lora_scale: float

    @property
    def base_weight(self) -> nn.Parameter:
        """The weight without correction."""
        return self._parameters['weight']

    @property
    def weight(self) -> Tensor:
        """The weight with the correction, at the scale that is set."""
        alpha = self.lora_alpha * self.lora_scale
        return add_low_rank(self.base_weight, self.lora_a, self.lora_b, alpha)


class AdaptedConv2d(Adapted, nn.Conv2d):
    """A convolution with an adapter."""


class AdaptedLinear(Adapted, nn.Linear):
    """A linear layer with an adapter."""


ADAPTED = {nn.Conv2d: AdaptedConv2d, nn.Linear: AdaptedLinear}
"""The adapted class of each class of layer that can be adapted."""


def add_low_rank(weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    """Add a low-rank matrix to a weight.

    Args:
        weight: :math:`(O, ...)`, with I values for each of the O output channels.
        a: :math:`(r, I)`.
        b: :math:`(O, r)`.
        alpha: r times the factor of the product; 0 returns the weight exactly.

    Returns:
        ``weight + alpha / r * (b @ a)``, of the shape and in the precision of `weight`: autocast
        would lose small corrections, which the merged weight has.
    """
    kind = 'cpu' if weight.is_meta else weight.device.type  # there is no autocast for meta
    with torch.autocast(kind, enabled=False):
        return torch.addmm(weight.flatten(1), b, a, alpha=alpha / len(a)).view(weight.shape)


def add_lora(
    network: nn.Module, options: LoRAOptions, generator: torch.Generator
) -> list[nn.Parameter]:
    r"""Freeze a network and give it adapters; its output does not change yet.

    Args:
        network: Network without adapters; changed in place.
        options: Which layers, and their ranks.
        generator: CPU generator of :math:`A \sim U(-1/\sqrt I, 1/\sqrt I)`, which is the
            Kaiming-uniform initialisation of a convolution or linear layer.

    Returns:
        The parameters that train, in the network's order.

    Raises:
        ValueError: If the network has adapters already, a pattern matches nothing, or adapters
            would be larger than what they adapt.
    """
    if lora_layers(network):
        raise ValueError(f'{type(network).__name__} has adapters already; give it without.')
    ranks, layers = select_layers(network, options), adaptable_layers(network)
    weights = {name: layers[name].weight.flatten(1) for name in ranks}
    own = sum(rank * sum(weights[name].shape) for name, rank in ranks.items())
    theirs = sum(weight.numel() for weight in weights.values())
    if own > theirs:
        raise ValueError(
            f'rank: the adapters would have {own:,} parameters, their layers have {theirs:,}. '
            'Lower it, or train all weights, without `lora`.'
        )
    freeze(network)
    for name, rank in ranks.items():
        weight = layers[name].weight
        bound = weight[0].numel() ** -0.5
        a = torch.empty(rank, weight[0].numel()).uniform_(-bound, bound, generator=generator)
        attach(layers[name], a, torch.zeros(len(weight), rank), options.alpha)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def freeze(network: nn.Module) -> None:
    """Keep weights from being trained and statistics of batches from being updated."""
    network.requires_grad_(False)
    for module in network.modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None:
            module.track_running_stats = False


def attach(layer: nn.Module, a: Tensor, b: Tensor, alpha: float) -> None:
    """Turn a layer into an adapted one, in place."""
    layer.lora_a = nn.Parameter(a.to(layer.weight))
    layer.lora_b = nn.Parameter(b.to(layer.weight))
    layer.lora_alpha = alpha
    layer.lora_scale = 1.0
    layer.__class__ = ADAPTED[type(layer)]


def lora_layers(network: nn.Module) -> dict[str, Adapted]:
    """Find the adapted layers of a network; one that is used several times, by all its names."""
    modules = network.named_modules(remove_duplicate=False)
    return {name: module for name, module in modules if isinstance(module, Adapted)}


def set_lora_scale(network: nn.Module, scale: float) -> None:
    """Set the knob of all adapters: 0 is the network without them, 1 as they were trained."""
    for layer in lora_layers(network).values():
        layer.lora_scale = scale


@contextmanager
def lora_scale(network: nn.Module, scale: float) -> Iterator[None]:
    """Set the knob of all adapters for a while; costs nothing without adapters."""
    before = {layer: layer.lora_scale for layer in lora_layers(network).values()}
    set_lora_scale(network, scale)
    try:
        yield
    finally:
        for layer, own in before.items():
            layer.lora_scale = own


def lora_state(network: nn.Module) -> dict[str, Tensor]:
    """Return the adapters alone, as ``<layer>.lora_a`` and ``<layer>.lora_b``, not copied."""
    return {key: value for key, value in network.state_dict().items() if is_adapter(key)}


def base_state(network: nn.Module) -> dict[str, Tensor]:
    """Return the state dict that the network has without adapters, not copied."""
    return {key: value for key, value in network.state_dict().items() if not is_adapter(key)}


def is_adapter(key: str) -> bool:
    """Tell the keys of adapters from those of the network."""
    return key.endswith(('.lora_a', '.lora_b'))


@torch.no_grad()
def load_lora_state(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy what `lora_state` returned into the adapters, which stay the same parameters.

    Raises:
        ValueError: If the adapters are of other layers or ranks.
    """
    own = lora_state(network)
    shapes, given = ({k: tuple(v.shape) for k, v in s.items()} for s in (own, state))
    if shapes != given:
        differing = sorted(k for k in shapes | given if shapes.get(k) != given.get(k))
        raise ValueError(
            f'these adapters are of other layers or ranks: {len(differing)} differ, such as '
            f'{differing[0]}. Use the lora options they were trained with.'
        )
    for key, value in own.items():
        value.copy_(state[key])


@torch.no_grad()
def merged_state(network: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of the plain network that does what this one does.

    Args:
        network: Network with or without adapters, at the scale that is set; left untouched.
    """
    merged = {f'{name}.weight': layer.weight for name, layer in lora_layers(network).items()}
    return base_state(network) | merged
