"""Which sizes of input a network takes."""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class SizeRequirements:
    """What the height and width of an input must be, in pixels.

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
