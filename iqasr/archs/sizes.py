"""Which sizes of input a network takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

RRDBNET_MULTIPLES = {1: 4, 2: 2}
"""By how much BasicSR's ``RRDBNet`` folds its input into channels, by its ``scale``."""


@dataclass(frozen=True)
class SizeRequirements:
    """Requirements on height and width of an input, in pixels.

    A network carries its own as the attribute ``size_requirements``; one without takes any size.

    Attributes:
        minimum: Both are at least so large.
        multiple_of: Both are multiples of it.
        square: Both are equal.
    """

    minimum: int = 1
    multiple_of: int = 1
    square: bool = False

    def padding(self, height: int, width: int) -> tuple[int, int]:
        """Find what is missing from a size.

        Returns:
            Rows and columns to add; both 0 if the size is taken as it is.

        Example:
            >>> SizeRequirements(minimum=16, multiple_of=8).padding(12, 17)
            (4, 7)
        """
        sides = [max(side, self.minimum) for side in (height, width)]
        sides = [side + -side % self.multiple_of for side in sides]
        if self.square:
            sides = [max(sides)] * 2
        return sides[0] - height, sides[1] - width

    def __str__(self) -> str:
        parts = [
            f'at least {self.minimum} px' if self.minimum > 1 else '',
            f'multiples of {self.multiple_of} px' if self.multiple_of > 1 else '',
            'square' if self.square else '',
        ]
        return ', '.join(part for part in parts if part) or 'any size'


def sizes_of(network: nn.Module) -> SizeRequirements:
    """Return what a network asks of the size of its input."""
    return getattr(network, 'size_requirements', SizeRequirements())


def require_sizes(network: nn.Module, section: Mapping[str, Any]) -> None:
    """Note which sizes a network of BasicSR takes, which does not tell itself.

    Args:
        network: Left as it is if it tells.
        section: What it was built from.
    """
    if hasattr(network, 'size_requirements'):
        return
    multiple = section.get('window_size', 1)
    if section['type'] == 'RRDBNet':
        multiple = RRDBNET_MULTIPLES.get(section.get('scale', 4), 1)
    network.size_requirements = SizeRequirements(multiple_of=multiple)
