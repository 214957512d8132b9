"""The settings by which candidates are made, and the record of them in their folder."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from iqasr.data.candidates.candidate_folders import ORIGINAL
from iqasr.enhancement.patches import PatchRules
from iqasr.enhancement.recipe import Recipe
from iqasr.enhancement.selection import SelectionRules
from iqasr.quality import QualityScorer
from iqasr.runtime.errors import DataError


@dataclass(frozen=True)
class EnhancementSettings:
    """Settings by which candidates are made.

    Args:
        recipes: Recipe of each candidate.
        patches: Rules for the choice of patches; None keeps photographs whole.
        selection: Rules for the selection of photographs.
        scorer: Scorer for the least quality of `selection`.
        seed: Seed of the places of patches.

    Raises:
        ValueError: If only one of scorer and least quality is given.
    """

    recipes: Sequence[Recipe]
    patches: PatchRules | None = field(default_factory=PatchRules)
    selection: SelectionRules = field(default_factory=SelectionRules)
    scorer: QualityScorer | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.scorer is None) != (self.selection.least_quality is None):
            raise ValueError('A scorer and its least quality belong together; give both or none.')

    @property
    def selection_with_size(self) -> SelectionRules:
        """The rules for the selection, by which photographs smaller than a patch are left out."""
        least = self.patches.size_px if self.patches else 1
        return replace(self.selection, least_side_px=max(self.selection.least_side_px, least))

    @property
    def folders(self) -> list[str]:
        """Folders of the candidates: ``01``, ``02``, ..."""
        return [f'{number:02d}' for number in range(1, len(self.recipes) + 1)]

    def description(self) -> dict[str, Any]:
        """Everything on which the result depends, as JSON content."""
        candidates = [recipe.description for recipe in self.recipes]
        return {
            'candidates': dict(zip(self.folders, candidates, strict=True)),
            'patches': self.patches and asdict(self.patches),
            'sources': asdict(self.selection),
            'scorer': self.scorer and f'{self.scorer.name} {self.scorer.version}',
            'seed': self.seed,
        }

    def check_record(self, record: Path) -> None:
        """Check that the candidates in a folder were made by these settings.

        Args:
            record: File of their `description`, if any.

        Raises:
            DataError: If the settings differ, or there are originals without a record.
        """
        if not record.exists():
            if (record.parent / ORIGINAL).exists():
                raise DataError(
                    f'{record.parent}: holds candidates that this command did not make. '
                    'Give another folder.'
                )
            return
        found = json.loads(record.read_text(encoding='utf-8'))
        own = json.loads(json.dumps(self.description()))
        differing = [name for name in own if found.get(name) != own[name]]
        if differing:
            raise DataError(
                f'{record}: these candidates were made with other settings '
                f'({", ".join(differing)}). Repeat those, or give another folder.'
            )
