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
        """Note what an option became; ``was`` is its value, or None if that stays."""
        self.became.append(f'{path} -> {now}' if was is None else f'{path}: {was} -> {now}')

    def warn(self, path: str, reason: str) -> None:
        """Note what does not count, and why."""
        self.warnings.append(f'{path}: {reason}')
