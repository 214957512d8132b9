"""Recipes: sequences of enhancers, each of which makes one candidate of every photograph."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from iqasr.checking.components import sections_of_words
from iqasr.enhancement.base import Enhancer
from iqasr.models.networks import OPTION_FILES
from iqasr.pretrained import CATALOGUE, is_known
from iqasr.registry import ENHANCER_REGISTRY, build

NETWORK_FILES = (*OPTION_FILES, '.pth', '.safetensors')
"""Endings of the files that `NetworkEnhancer` reads."""


@dataclass
class Recipe:
    """Makes one candidate of a photograph.

    Args:
        steps: Enhancers, each applied to the result of the one before.
        sections: Sections that built them, for the record.
    """

    steps: Sequence[Enhancer]
    sections: Sequence[Mapping[str, Any]] = ()

    @property
    def name(self) -> str:
        """Name in logs and on contact sheets."""
        return ' + '.join(step.name for step in self.steps)

    @property
    def description(self) -> list[dict[str, Any]]:
        """Everything on which the result depends, one entry per step, as JSON content."""
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


def build_recipes(words: Sequence[str]) -> list[Recipe]:
    """Build the recipes named on a command line.

    Args:
        words: One per recipe: the name of an enhancer (``UnsharpMask``), a file that
            `NetworkEnhancer` reads or the name of weights, a section in YAML
            (``{type: UnsharpMask, amount: 1.5}``), or a list of these, applied in turn
            (``[NonLocalMeans, UnsharpMask]``).

    Raises:
        OptionError: If any word is wrong; the message lists everything that is wrong.
        ValueError: If there are no words, or a network cannot be built.
        CheckpointError: If the weights of a network cannot be read.
    """
    if not words:
        raise ValueError('No enhancer is given; name at least one.')
    sections = sections_of_words(words, ENHANCER_REGISTRY, parse_word, 'enhancers')
    return [Recipe([build(ENHANCER_REGISTRY, s) for s in steps], steps) for steps in sections]


def parse_word(word: str) -> list[dict[str, Any]]:
    """Turn a word on a command line into the sections of the steps."""
    steps = word if word.endswith(NETWORK_FILES) else yaml.safe_load(word)
    return [section_of(step) for step in (steps if isinstance(steps, list) else [steps])]


def section_of(step: Any) -> dict[str, Any]:
    """Turn a name, a file or a mapping into the section of an enhancer."""
    if isinstance(step, dict):
        return step
    word = str(step)
    if is_known(word) and CATALOGUE[word].kind == 'graph':
        return {'type': 'MaximEnhancer', 'task': word.removeprefix('maxim-')}
    if word.endswith(NETWORK_FILES) or is_known(word):
        return {'type': 'NetworkEnhancer', 'weights': word}
    return {'type': word}
