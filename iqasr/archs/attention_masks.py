"""Masks of shifted windows, made once for a size instead of in every block of every pass.

Networks of Swin's kind (SwinIR, Swin2SR, DAT, RGT, DRCT, HAT, ATD) make them on the host for every
input whose size is not that of their training, and copy them to the device. On a GPU, this takes
longer than the network itself.
"""

from collections.abc import Hashable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

WINDOWS = ('window_size', 'split_size', 'shift_size')
"""What a mask depends on beside the size of the input, as modules call it."""


def remember_masks(network: nn.Module) -> None:
    """Let the blocks of a network share their masks, on its device; in place.

    Concerned are modules with a method ``calculate_mask``; its values stay as they are.
    """
    masks = RememberedMasks()
    for module in network.modules():
        if hasattr(type(module), 'calculate_mask'):
            module.calculate_mask = partial(masks, module)


class RememberedMasks:
    """The last masks of every kind of window."""

    def __init__(self) -> None:
        self.newest: dict[Hashable, tuple[Hashable, Any]] = {}
        self.captured: list[Any] = []

    def __call__(self, module: nn.Module, *size: Any, **options: Any) -> Any:
        """Return what ``calculate_mask`` of a module returns, on the device of its weights."""
        cls, device = type(module), next(module.parameters()).device
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            return cls.calculate_mask(module, *size, **options)
        kind = cls, *(str(getattr(module, name, None)) for name in WINDOWS)
        wanted = str(size), str(options), device
        found, mask = self.newest.get(kind, (None, None))
        if found != wanted:
            mask = cls.calculate_mask(module, *size, **options)
            mask = tree_map(lambda tensor: tensor.to(device), mask)
            self.newest[kind] = wanted, mask
        if torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing():
            self.captured.append(mask)  # a graph reads its memory, but does not hold it
        return mask
