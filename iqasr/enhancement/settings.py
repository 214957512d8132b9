"""How candidates are made, and the record of it beside them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from iqasr.data.candidates.candidate_folders import ORIGINAL
from iqasr.enhancement.patches import PatchRules
from iqasr.enhancement.recipe import Recipe
from iqasr.enhancement.sources import SourceRules
from iqasr.quality import QualityScorer
from iqasr.runtime.errors import DataError

PUBLISHED_PATCHES, DEFAULT_RULES = PatchRules(), SourceRules()


@dataclass(frozen=True)
class Settings:
    """How candidates are made.

    Args:
        recipes: One for each candidate.
        patches: Which patches are cut; None keeps photographs whole.
        rules: Which photographs are left out.
        scorer: Judges photographs, where `rules` ask for quality.
        seed: Of the places of patches.

    Raises:
        ValueError: If `rules` ask for quality and there is no scorer, or the other way round.
    """

    recipes: Sequence[Recipe]
    patches: PatchRules | None = PUBLISHED_PATCHES
    rules: SourceRules = DEFAULT_RULES
    scorer: QualityScorer | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.scorer is None) != (self.rules.least_quality is None):
            raise ValueError('A scorer and the least quality that it may give belong together.')

    @property
    def source_rules(self) -> SourceRules:
        """Which photographs are left out: those smaller than a patch, too."""
        least = self.patches.size_px if self.patches else 1
        return replace(self.rules, least_side_px=max(self.rules.least_side_px, least))

    @property
    def folders(self) -> list[str]:
        """Folders of the candidates: ``01``, ``02``, ..."""
        return [f'{number:02d}' for number in range(1, len(self.recipes) + 1)]

    def description(self) -> dict[str, Any]:
        """Say everything that the result depends on, fit for JSON."""
        candidates = [recipe.description for recipe in self.recipes]
        return {
            'candidates': dict(zip(self.folders, candidates, strict=True)),
            'patches': self.patches and asdict(self.patches),
            'sources': asdict(self.rules),
            'scorer': self.scorer and f'{self.scorer.name} {self.scorer.version}',
            'seed': self.seed,
        }

    def refuse_others(self, record: Path) -> None:
        """Refuse a folder whose candidates were made in another way.

        Args:
            record: The `description` in it, if any.

        Raises:
            DataError: If it is of other settings, or there are originals without one.
        """
        if not record.exists():
            if (record.parent / ORIGINAL).exists():
                raise DataError(
                    f'{record.parent}: holds candidates that were not made here. '
                    'Give another folder.'
                )
            return
        found = json.loads(record.read_text(encoding='utf-8'))
        own = json.loads(json.dumps(self.description()))
        differing = [name for name in own if found.get(name) != own[name]]
        if differing:
            raise DataError(
                f'{record}: the candidates there were made with other settings '
                f'({", ".join(differing)}). Repeat those, or give another folder.'
            )
