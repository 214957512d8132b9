"""Check one section of an option file against what it would build."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from iqasr.archs.spandrel_networks import code_arguments, network_class
from iqasr.options.schema import Problems, check_section
from iqasr.registry import ARCH_REGISTRY, SCORER_REGISTRY, Registry, build, lookup
from iqasr.runtime.paths import resolve


class SectionCheck:
    """Checks of single sections; findings go to `problems`."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def component(
        self,
        path: str,
        section: Mapping[str, Any],
        registry: Registry,
        provided: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Check a section with a ``type`` from a registry."""
        cls = self.type_of(path, section, registry)
        if cls is None:
            return dict(section)
        checked = check_section(self.problems, path, section, cls, provided)
        if isinstance(checked.get('weights'), str):
            checked['weights'] = str(resolve(checked['weights']))
        if isinstance(checked.get('scorer'), dict):
            checked['scorer'] = self.scorer(f'{path}.scorer', checked['scorer'])
        if registry is SCORER_REGISTRY and isinstance(checked.get('scorers'), list):
            checked['scorers'] = [
                self.scorer(f'{path}.scorers.{number}', member)
                for number, member in enumerate(checked['scorers'])
            ]
        return checked

    def network(self, path: str, section: Mapping[str, Any]) -> dict[str, Any]:
        """Check a network; one of spandrel against the constructor of its architecture."""
        if section.get('type') != 'spandrel' or 'arch' not in section:
            return self.component(path, section, ARCH_REGISTRY)
        try:
            cls = network_class(section['arch'])
        except ValueError as error:
            self.problems.add(f'{path}.arch', str(error))
            return dict(section)
        own = {key: value for key, value in section.items() if key != 'arch'}
        checked = check_section(self.problems, path, own, cls, code_arguments(cls))
        return checked | {'arch': section['arch']}

    def scorer(self, path: str, section: Mapping[str, Any]) -> dict[str, Any]:
        """Check a scorer inside another section; ``range`` may bound one that has no range."""
        bare = {key: value for key, value in section.items() if key != 'range'}
        checked = self.component(path, bare, SCORER_REGISTRY)
        if 'range' not in section:
            return checked
        span = section['range']
        finite = isinstance(span, list) and all(
            isinstance(end, int | float) and math.isfinite(end) for end in span
        )
        if not finite or len(span) != 2 or span[0] == span[1]:
            self.problems.add(f'{path}.range', 'give [worst, best], two different finite numbers.')
        return checked | {'range': span}

    def found(
        self, path: str, section: Mapping[str, Any], find: Callable[[str], type], provided: str
    ) -> dict[str, Any]:
        """Check a section whose ``type`` is a class of torch."""
        try:
            cls = find(section.get('type', ''))
        except ValueError as error:
            self.problems.add(f'{path}.type', str(error))
            return dict(section)
        return check_section(self.problems, path, section, cls, (provided,))

    def type_of(self, path: str, section: Mapping[str, Any], registry: Registry) -> Any:
        """Look the ``type`` of a section up; None, and a note, if there is none."""
        if 'type' not in section:
            self.problems.add(f'{path}.type', 'is required and missing.')
            return None
        try:
            return lookup(registry, section['type'])
        except ValueError as error:
            self.problems.add(f'{path}.type', str(error))
            return None

    def construct(
        self, path: str, section: Mapping[str, Any], registry: Registry, **extra: Any
    ) -> Any:
        """Build a policy object, which is cheap, to hear what its constructor refuses."""
        if any(entry.startswith(path) for entry in self.problems.entries):
            return None
        try:
            return build(registry, section, **extra)
        except ValueError as error:
            self.problems.add(path, str(error))
            return None
