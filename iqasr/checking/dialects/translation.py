"""An option file in translation: options are found, moved and left out by dotted paths."""

from dataclasses import dataclass, field
from typing import Any

NETWORKS = ('network_g', 'network_d')
"""Sections of networks. Nothing in them is left out: without one of its options, a network would be
another."""


@dataclass
class Translation:
    """Options, and what became of those of the file.

    Nothing is found or changed at a path that leads through something other than a section; the
    check refuses what stands in the way. ``None`` means that an option is not given.
    """

    options: dict[str, Any]
    """The options, edited in place."""
    notes: list[str] = field(default_factory=list)
    """Options and their new names: ``old -> new``."""
    warnings: list[str] = field(default_factory=list)
    """Options without effect, and why: ``path: reason``."""
    problems: list[str] = field(default_factory=list)
    """Options that are misspelt, likewise; no longer among `options`."""

    def get(self, path: str) -> Any:
        """Return the value at a path (``train.optim_g.lr``)."""
        section, key = self._find(path)
        return section.get(key)

    def sections(self, path: str) -> list[str]:
        """List the paths of the sections inside a section."""
        inner = self.get(path)
        items = inner.items() if isinstance(inner, dict) else ()
        return [f'{path}.{key}' for key, value in items if isinstance(value, dict)]

    def pop(self, path: str) -> Any:
        """Remove an option without a note; returns its value."""
        section, key = self._find(path)
        return section.pop(key, None)

    def put(self, path: str, value: Any, old: str | None = None) -> None:
        """Set an option that replaces what is or was at `path`, or else `old`."""
        was = path if self.get(path) is None else f'{path}: {self.get(path)}'
        section, key = self._find(path, create=True)
        section[key] = value
        self.notes.append(f'{was} -> {value}' if old is None else f'{old} -> {path}')

    def move(self, old: str, new: str) -> None:
        """Move an option that is given; it is left out if the new place says otherwise."""
        value = self.pop(old)
        if value is not None and self.get(new) in (None, value):
            self.put(new, value, old)
        elif value is not None:
            self.warn(old, f'left out, since {new} is given, too.')

    def drop(self, path: str, reason: str) -> None:
        """Leave an option out, if it is given."""
        if self.pop(path) is not None:
            self.warn(path, reason)

    def warn(self, path: str, reason: str) -> None:
        """Say that an option does not count as it is written."""
        self.warnings.append(f'{path}: {reason}')

    def _find(self, path: str, create: bool = False) -> tuple[dict[str, Any], str]:
        *sections, key = path.split('.')
        place = self.options
        for name in sections:
            if create and place.get(name) is None:
                place[name] = {}
            place = place.get(name)
            if not isinstance(place, dict):
                return {}, key
        return place, key
