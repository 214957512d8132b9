"""The moving average of a network's weights."""

import torch
from torch import nn


@torch.no_grad()
def move_average(averaged: nn.Module, current: nn.Module, decay: float) -> None:
    """Move an averaged network towards the current one; its parameters in one operation.

    Args:
        averaged: Changed in place; its buffers become those of `current`.
        current: Of the same architecture and memory format.
        decay: Share of the average that stays.
    """
    torch._foreach_lerp_(list(averaged.parameters()), list(current.parameters()), 1 - decay)
    for own, other in zip(averaged.buffers(), current.buffers(), strict=True):
        own.copy_(other)
