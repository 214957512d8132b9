"""Draws of options' values, on the CPU, where reading them never waits for a device."""

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

Key = TypeVar('Key', bound=str)


def uniform(
    low: float | Tensor, high: float | Tensor, count: int, generator: torch.Generator
) -> Tensor:
    """Draw numbers uniformly.

    Args:
        low: Smallest value, or one per number.
        high: Largest value, or one per number.
        count: How many.
        generator: CPU generator; advanced by `count` draws whatever the range.

    Returns:
        :math:`(count,)` float64 in [low, high].
    """
    return low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float64)


def events(probability: float, count: int, generator: torch.Generator) -> Tensor:
    """Draw which of `count` independent events happen; :math:`(count,)` bool."""
    return uniform(0, 1, count, generator) < probability


def happens(probability: float, generator: torch.Generator) -> bool:
    """Draw whether one event happens."""
    return bool(events(probability, 1, generator))


def choose(weights: Mapping[Key, float], count: int, generator: torch.Generator) -> list[Key]:
    """Draw names with probability proportional to their weights.

    Args:
        weights: Non-negative weight of each name; at least one is positive.
        count: How many, with replacement.
        generator: CPU generator.

    Returns:
        The names.

    Example:
        >>> choose({'up': 0.0, 'down': 2.0}, 2, torch.Generator())
        ['down', 'down']
    """
    names = list(weights)
    values = torch.tensor(list(weights.values()), dtype=torch.float64)
    drawn = torch.multinomial(values, count, replacement=True, generator=generator)
    return [names[index] for index in drawn.tolist()]
