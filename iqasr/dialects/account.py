"""What became of an option file of another tool."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Account:
    """The account of a translation."""

    became: list[str] = field(default_factory=list)
    """What each translated option became."""

    warnings: list[str] = field(default_factory=list)
    """What is left out or contradicts itself, with the reason."""

    def note(self, path: str, was: Any, now: str) -> None:
        """Note that an option, ``was``, is called or expressed otherwise now."""
        self.became.append(f'{path}: {was} -> {now}')

    def warn(self, path: str, reason: str) -> None:
        """Note what does not count, and why."""
        self.warnings.append(f'{path}: {reason}')
