"""The command of ``scripts/enhance_candidates.py``, from words to candidates."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from iqasr.analysis.panel import scorer_sections
from iqasr.enhancement.making import make_candidates
from iqasr.enhancement.patches import PatchRules
from iqasr.enhancement.recipe import recipes_of
from iqasr.enhancement.settings import Settings
from iqasr.enhancement.sources import SourceRules
from iqasr.registry import SCORER_REGISTRY, build
from iqasr.runtime.distributed import join_processes, leave_processes

logger = logging.getLogger('iqasr')

PREFIX = {PatchRules: 'patch_', SourceRules: ''}
"""Of the flags of each kind of rules."""

DEFAULTS = {
    prefix + field.name: (float if 'float' in str(field.type) else int, field.default)
    for rules, prefix in PREFIX.items()
    for field in fields(rules)
}
"""Kind and default of each number of the rules, by flag."""


def enhance_from_words(
    source: str,
    target: str,
    words: Sequence[str],
    *,
    whole: bool = False,
    scorer: str | None = None,
    seed: int = 0,
    cpu: bool = False,
    numbers: Mapping[str, float | None] = MappingProxyType({}),
) -> int:
    """Make candidates, in one process or as one of those that torchrun started.

    Args:
        source: Folder of photographs.
        target: Folder to make or to complete.
        words: The enhancers, as in `recipes_of`, one for each candidate.
        whole: Keep photographs whole instead of cutting patches.
        scorer: Judges photographs: a name or a section, as in `scorer_sections`.
        seed: Of the places of patches.
        cpu: Leave the GPU alone.
        numbers: Of patches and sources, by the names in `DEFAULTS`.

    Returns:
        How many photographs could not be read; each is named in the log.

    Raises:
        ValueError: If anything that is asked for is wrong; see `make_candidates`, too.
        CheckpointError: If weights cannot be read, or a file cannot be written.
    """
    patches = None if whole else rules_of(PatchRules, numbers)
    judge = None if scorer is None else build(SCORER_REGISTRY, scorer_sections([scorer])[scorer])
    rules = rules_of(SourceRules, numbers)
    settings = Settings(recipes_of(words), patches, rules, judge, seed)
    process = join_processes('pytorch' if 'RANK' in os.environ else 'none', 0 if cpu else 'auto')
    logger.setLevel(logging.INFO if process.is_main else logging.WARNING)
    try:
        account = make_candidates(source, target, settings, process)
    finally:
        leave_processes()
    logger.info('%s', account.summary())
    if process.is_main:
        for problem in account.unreadable.values():
            logger.error('left out: %s', problem)
    return len(account.unreadable)


def rules_of(rules: type, numbers: Mapping[str, Any]) -> Any:
    """Make rules of one kind from the numbers that are theirs."""
    values = {field.name: PREFIX[rules] + field.name for field in fields(rules)}
    return rules(**{name: numbers[flag] for name, flag in values.items() if flag in numbers})
