"""The generator as it was when a run began."""

import copy

import torch
from torch import Tensor, nn

from iqasr.archs.lora import lora_layers, lora_scale
from iqasr.archs.lora_files import base_hash
from iqasr.models.networks import restore
from iqasr.options.sections import Options


class BaseNetwork:
    """The generator with its pretrained weights: under its adapters, or else a frozen copy.

    Args:
        network: The generator, before a training state is restored; its adapters are attached.
        options: The checked option file.
    """

    def __init__(self, network: nn.Module, options: Options) -> None:
        self.options = options
        self.adapted = bool(lora_layers(network))
        self.network = network if self.adapted else copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def __call__(self, lq: Tensor) -> Tensor:
        """Restore images of any size; see `restore`."""
        with lora_scale(self.network, 0):
            return restore(self.network, lq, self.options)

    def state(self) -> str | None:
        """Name the weights of the copy by their hash; adapters are saved with that of theirs."""
        return None if self.adapted else base_hash(self.network.state_dict())

    def check(self, state: str | None) -> None:
        """Compare with the `state` of a run to continue; None, of one without a copy, fits all.

        Raises:
            ValueError: If it has another base.
        """
        if state not in (None, self.state()):
            raise ValueError('it was trained with another path.pretrain_network_g')
