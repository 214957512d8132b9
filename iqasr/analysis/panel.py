"""A panel of scorers: named on a command line, each asked once about every image."""

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from iqasr.checking.section import SectionCheck
from iqasr.data.candidates.candidate_set import CandidateSet
from iqasr.data.scores.quality_rows import read_rows
from iqasr.data.scores.score_table import merge_parts, score_share
from iqasr.options.schema import Problems
from iqasr.quality import QualityScorer, scorer_section
from iqasr.registry import SCORER_REGISTRY, build
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import DataError, MissingWeightsError, OptionError

logger = logging.getLogger('iqasr')


@dataclass(frozen=True)
class Judge:
    """A scorer, and what it thinks of all images."""

    name: str
    section: Mapping[str, Any]
    """Builds it."""
    differentiable: bool
    lower_better: bool
    quality: Mapping[str, float]
    """By path, higher is better; NaN where it found no score."""


def scorer_sections(words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Find the section for each of the words that a user calls scorers by; builds nothing.

    Args:
        words: Each ``niqe``, ``ranker``, ..., the name of a metric of pyiqa, or a section in YAML,
            ``{type: RankerScorer, weights: mine.safetensors}``.

    Raises:
        OptionError: With everything that is wrong with them.
    """
    problems, sections = Problems(), {}
    check = SectionCheck(problems)
    for word in words:
        try:
            section = yaml.safe_load(word) if word.lstrip().startswith('{') else None
            section = scorer_section(word) if section is None else section
        except (ValueError, yaml.YAMLError) as error:
            problems.add(word, ' '.join(str(error).split()))
            continue
        sections[word] = check.component(word, section, SCORER_REGISTRY)
    if problems.entries:
        raise OptionError('\n'.join(['scorers that cannot be used:', *problems.entries]))
    return sections


def ask_panel(
    images: CandidateSet,
    sections: Mapping[str, Mapping[str, Any]],
    cache: Path,
    *,
    batch: int = 8,
    process: Process | None = None,
) -> tuple[list[Judge], dict[str, str]]:
    """Score all images by all scorers, or what is new.

    May be killed and started again, with another number of processes too. What is known of an
    image is used as long as its file and the scorer's version are the same.

    Args:
        images: The images.
        sections: Of the scorers, as `scorer_sections` gives them.
        cache: Folder for one table per scorer and version.
        batch: Most images per call.
        process: This process among those that share the work; default the only one.

    Returns:
        The scorers that could do it, and why the others could not, by word.

    Raises:
        DataError: If none could.
    """
    process = process or Process()
    cache.mkdir(parents=True, exist_ok=True)
    judges: list[Judge] = []
    failures: dict[str, str] = {}
    for word, section in sections.items():
        reason = None
        try:
            scorer = build(SCORER_REGISTRY, section)
            table = table_of(cache, scorer)
            score_unless_reference(images, scorer.to(process.device), table, batch, process)
        except (MissingWeightsError, ImportError, ValueError, OSError) as error:
            reason = str(error)
        reasons = [other for other in process.gather(reason) if other]
        if reasons:
            failures[word] = reasons[0]
            logger.warning('%s is left out: %s', word, reasons[0])
            continue
        if process.is_main:
            merge_parts(images.groups, scorer, table, process.world_size)
        process.barrier()
        judges.append(judge_of(scorer, section, table, [judge.name for judge in judges]))
    if not judges:
        listing = [f'{word}: {reason}' for word, reason in failures.items()]
        raise DataError('\n'.join(['no scorer could be used.', *listing]))
    return judges, failures


def score_unless_reference(
    images: CandidateSet, scorer: QualityScorer, table: Path, batch: int, process: Process
) -> None:
    """Write this process's part of a table.

    Raises:
        ValueError: If the scorer compares with a reference, or refuses an image.
    """
    if scorer.needs_reference:
        raise ValueError('it compares with a reference; choose no-reference scorers.')
    score_share(images, scorer, table, batch=batch, process=process)


def table_of(cache: Path, scorer: QualityScorer) -> Path:
    """Name the table of a scorer in one version."""
    digest = hashlib.sha256(scorer.version.encode()).hexdigest()[:8]
    return cache / f'{re.sub(r"[^A-Za-z0-9_+-]+", "_", scorer.name)[:60]}-{digest}.csv'


def judge_of(
    scorer: QualityScorer, section: Mapping[str, Any], table: Path, taken: Sequence[str]
) -> Judge:
    """Read what a scorer said, under a name that is not taken."""
    name = scorer.name if scorer.name not in taken else f'{scorer.name} ({scorer.version})'
    quality = {row.candidate: row.quality for row in read_rows(table)}
    without = sum(value != value for value in quality.values())
    if without:
        logger.warning('%s finds no score for %d of %d images.', name, without, len(quality))
    lower = bool(scorer.published(torch.tensor(1.0)) < 0)
    return Judge(name, section, scorer.differentiable, lower, quality)
