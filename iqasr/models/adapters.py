"""The state from which a run that trains low-rank adapters continues exactly."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from iqasr.archs.lora import base_state, load_lora_state, lora_state
from iqasr.archs.lora_files import base_hash


def adapter_state(network: nn.Module, averaged: nn.Module | None) -> dict[str, Any]:
    """Take the adapters of a network and of its average, and which base they belong to."""
    return {
        'base': base_hash(base_state(network)),
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
    if state is None or state['base'] != base_hash(base_state(network)):
        raise ValueError('its adapters belong to another path.pretrain_network_g')
    load_lora_state(network, state['params'])
    if averaged is not None:
        load_lora_state(averaged, state['params_ema'])


def on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors to the CPU, in the plain memory format."""
    return {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
