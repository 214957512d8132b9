"""Recipes: the enhancers, one after the other, that make one candidate of every photograph."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from iqasr.checking.section import SectionCheck
from iqasr.enhancement.base import Enhancer
from iqasr.models.network_files import OPTION_FILES
from iqasr.options.schema import Problems
from iqasr.registry import ENHANCER_REGISTRY, build
from iqasr.runtime.errors import OptionError

FILES = (*OPTION_FILES, '.pth', '.safetensors')
"""Endings of the files that `NetworkEnhancer` takes."""


class Recipe:
    """Makes one candidate of a photograph.

    Args:
        steps: Enhancers, each applied to what the one before it made.
        sections: What built them, for the record.
    """

    def __init__(
        self, steps: Sequence[Enhancer], sections: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self.steps = list(steps)
        self.sections = [dict(section) for section in sections]

    @property
    def name(self) -> str:
        """What logs and contact sheets call it."""
        return ' + '.join(step.name for step in self.steps)

    @property
    def description(self) -> list[dict[str, Any]]:
        """What the result depends on, one entry per step, fit for JSON."""
        sections = self.sections or [{'type': type(step).__name__} for step in self.steps]
        return [
            {k: Path(v).name if k == 'weights' else v for k, v in section.items()}
            | {'version': step.version}
            for section, step in zip(sections, self.steps, strict=True)
        ]

    def to(self, device: torch.device) -> 'Recipe':
        """Move all steps to a device."""
        for step in self.steps:
            step.to(device)
        return self

    def __call__(self, photograph: np.ndarray) -> np.ndarray:
        """Make the candidate; see `Enhancer.enhance`."""
        for step in self.steps:
            photograph = step.enhance(photograph)
        return photograph


def recipes_of(words: Sequence[str]) -> list[Recipe]:
    """Build the recipes that a command line asks for.

    Args:
        words: Each the name of an enhancer (``UnsharpMask``), a file that `NetworkEnhancer` takes,
            a section in YAML (``{type: UnsharpMask, amount: 1.5}``), or a list of these, to be
            applied in turn (``[NonLocalMeans, UnsharpMask]``).

    Raises:
        OptionError: With everything that is wrong with them.
        ValueError: If there are none, or a network cannot be built.
        CheckpointError: If the weights of a network cannot be read.
    """
    if not words:
        raise ValueError('No enhancer is given; name at least one.')
    problems, recipes = Problems(), []
    check = SectionCheck(problems)
    for word in words:
        try:
            asked = word if word.endswith(FILES) else yaml.safe_load(word)
        except yaml.YAMLError as error:
            problems.add(word, ' '.join(str(error).split()))
            continue
        sections = [section_of(step) for step in (asked if isinstance(asked, list) else [asked])]
        recipes.append([check.component(word, s, ENHANCER_REGISTRY) for s in sections])
    if problems.entries:
        raise OptionError('\n'.join(['enhancers that cannot be used:', *problems.entries]))
    return [Recipe([build(ENHANCER_REGISTRY, s) for s in steps], steps) for steps in recipes]


def section_of(step: Any) -> dict[str, Any]:
    """Write the section of what a user calls an enhancer."""
    if isinstance(step, Mapping):
        return dict(step)
    if str(step).endswith(FILES):
        return {'type': 'NetworkEnhancer', 'weights': str(step)}
    return {'type': str(step)}
