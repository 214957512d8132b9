"""The making of candidates from the words of a command line."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from iqasr.checking.components import scorer_sections
from iqasr.enhancement.candidate_maker import make_candidates
from iqasr.enhancement.patches import PatchRules
from iqasr.enhancement.recipe import Recipe, build_recipes
from iqasr.enhancement.selection import SelectionRules
from iqasr.enhancement.settings import EnhancementSettings
from iqasr.enhancement.squares import cut_folder
from iqasr.registry import SCORER_REGISTRY, build
from iqasr.runtime.distributed import joined_processes

logger = logging.getLogger('iqasr')

FLAG_PREFIX = {PatchRules: 'patch_', SelectionRules: ''}

NUMBER_FLAGS = {
    prefix + field.name: (float if 'float' in str(field.type) else int, field.default)
    for rules, prefix in FLAG_PREFIX.items()
    for field in fields(rules)
}
"""Type and default of each number of the rules, by flag."""


REAL_ENHANCERS = (
    '{type: NetworkEnhancer, weights: realesrgan-x4plus, reduce: 4}',
    '{type: NetworkEnhancer, weights: realesrgan-x4plus-anime, reduce: 4}',
    '{type: NetworkEnhancer, weights: realesr-animevideov3-x4, reduce: 2}',
    '{type: NetworkEnhancer, weights: span-x4, reduce: 2}',
    '{type: UnsharpMask, amount: 0.8}',
)
"""Candidates by networks whose weights packages hold, from good ones to ones that damage."""


def enhance_from_words(
    source: str,
    target: str,
    words: Sequence[str] = REAL_ENHANCERS,
    *,
    cut_px: int | None = None,
    cuts: int = 1,
    reduce: float = 1.0,
    without: str | None = None,
    whole: bool = False,
    scorer: str | None = None,
    seed: int = 0,
    cpu: bool = False,
    **numbers: float | None,
) -> int:
    """Make candidates; under ``torchrun``, the processes share the work.

    Args:
        source: Folder of photographs.
        target: Folder to make or to complete.
        words: The enhancers of each candidate, as in `build_recipes`.
        cut_px: Enhance only the most detailed squares of this side, which are kept in
            ``<target>_photographs``; None enhances photographs whole.
        cuts: Most squares of a photograph.
        reduce: Factor by which photographs are reduced before they are cut.
        without: Text file with names of photographs to leave out, such as those for tests, one a
            line, without suffix.
        whole: Keep photographs whole instead of cutting patches.
        scorer: Scorer of photographs: a name or a section, as in `scorer_sections`.
        seed: Seed of the places of patches.
        cpu: Do not use the GPU.
        numbers: Numbers of the rules, by the flags in `NUMBER_FLAGS`.

    Returns:
        The number of photographs that could not be read; the log names them.

    Raises:
        ValueError: If an argument is wrong, or as `make_candidates`.
        CheckpointError: If weights cannot be read, or a file cannot be written.
    """
    if cut_px is None and (reduce != 1 or without):
        raise ValueError('reduce and without are for photographs that are cut; give cut_px, too.')
    settings = EnhancementSettings(
        build_recipes(words),
        None if whole else build_rules(PatchRules, numbers),
        build_rules(SelectionRules, numbers),
        scorer and build(SCORER_REGISTRY, scorer_sections([scorer])[scorer]),
        seed,
    )
    with joined_processes(cpu=cpu) as process:
        logger.setLevel(logging.INFO if process.is_main else logging.WARNING)
        if cut_px is not None:
            squares = Path(f'{target}_photographs')
            if process.is_main:
                names = Path(without).read_text(encoding='utf-8').splitlines() if without else ()
                cut_folder(
                    source, squares, side_px=cut_px, count=cuts, reduce=reduce, without=names
                )
            process.barrier()
            source = str(squares)
        outcome = make_candidates(source, target, settings, process)
    logger.info('%s', outcome.summary())
    if process.is_main:
        for problem in outcome.unreadable.values():
            logger.error('left out: %s', problem)
    return len(outcome.unreadable)


def real_enhancers() -> dict[str, Recipe]:
    """Build `REAL_ENHANCERS`, by the folders of their candidates.

    Raises:
        MissingWeightsError: If their weights are not here and cannot be fetched.
    """
    recipes = build_recipes(REAL_ENHANCERS)
    return {f'{number:02d}': recipe for number, recipe in enumerate(recipes, 1)}


def build_rules(rules: type, numbers: Mapping[str, Any]) -> Any:
    """Build rules of one class from the numbers that belong to it."""
    flags = {field.name: FLAG_PREFIX[rules] + field.name for field in fields(rules)}
    return rules(**{name: numbers[flag] for name, flag in flags.items() if flag in numbers})
