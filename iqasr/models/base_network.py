"""The generator as it was when a run began, and the adapters that are trained on it."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from iqasr.archs.lora import base_state, load_lora_state, lora_layers, lora_scale, lora_state
from iqasr.archs.lora_files import base_hashes, is_same_base
from iqasr.models.restorer import Restorer


class BaseNetwork:
    """The generator with its pretrained weights: under its adapters, or else a frozen copy.

    Args:
        network: The generator, before a training state is restored; its adapters are attached.
        restorer: Restores images of any size.
    """

    def __init__(self, network: nn.Module, restorer: Restorer) -> None:
        self.restorer = restorer
        self.adapted = bool(lora_layers(network))
        self.network = network if self.adapted else copy.deepcopy(network).requires_grad_(False)

    def __call__(self, lq: Tensor) -> Tensor:
        """Restore images of any size; see `Restorer`."""
        with lora_scale(self.network, 0):
            return self.restorer(self.network, lq)

    def state(self) -> list[str] | None:
        """Name the weights of the copy by their hashes; adapters are saved with those of theirs."""
        return None if self.adapted else base_hashes(self.network.state_dict())

    def check(self, state: Sequence[str] | str | None) -> None:
        """Compare with the `state` of a run to continue; None, of one without a copy, fits all.

        Raises:
            ValueError: If it has another base.
        """
        if state is not None and not is_same_base(state, self.state() or []):
            raise ValueError('it was trained with another path.pretrain_network_g')


def adapter_state(network: nn.Module, averaged: nn.Module | None) -> dict[str, Any]:
    """Take the adapters of a network and of its average, and which base they belong to."""
    return {
        'base': base_hashes(base_state(network)),
        'params': on_cpu(lora_state(network)),
        'params_ema': on_cpu(lora_state(averaged)) if averaged is not None else None,
    }


def load_adapters(
    network: nn.Module, averaged: nn.Module | None, state: Mapping[str, Any] | None
) -> None:
    """Continue from `adapter_state`.

    Raises:
        ValueError: If the adapters belong to another base, or there are none.
    """
    if state is None:
        raise ValueError('lora: the checkpoint has no adapters')
    if not is_same_base(state['base'], base_hashes(base_state(network))):
        raise ValueError('its adapters belong to another path.pretrain_network_g')
    load_lora_state(network, state['params'])
    if averaged is not None:
        load_lora_state(averaged, state['params_ema'])


def on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors to the CPU, in the plain memory format."""
    return {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
