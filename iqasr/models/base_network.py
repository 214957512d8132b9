"""The generator as it was when a run began."""

import copy

from torch import Tensor, nn

from iqasr.archs.lora import lora_layers, lora_scale
from iqasr.archs.lora_files import base_hash
from iqasr.models.networks import Restorer


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
