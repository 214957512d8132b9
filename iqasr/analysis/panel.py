"""A panel of scorers: some score every image once, of others the scores are given."""

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iqasr.data.candidates.candidate_set import CandidateSet
from iqasr.data.scores.quality_rows import read_rows
from iqasr.data.scores.score_table import TableScoring
from iqasr.quality import QualityScorer
from iqasr.registry import SCORER_REGISTRY, build
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import DataError, MissingWeightsError

logger = logging.getLogger('iqasr')


@dataclass(frozen=True)
class PanelScorer:
    """A scorer of the panel, and its quality of all images."""

    name: str
    section: Mapping[str, Any] | None
    """Section that builds it; None where its scores are given, and no scorer is known to give them
    without a reference."""
    differentiable: bool
    lower_better: bool
    """Direction of its published score."""
    quality: Mapping[str, float]
    """By path, higher is better; NaN where it has no score."""


def score_by_panel(
    images: CandidateSet,
    sections: Mapping[str, Mapping[str, Any]],
    cache: Path,
    *,
    given: Sequence[PanelScorer] = (),
    batch: int = 8,
    process: Process | None = None,
) -> tuple[list[PanelScorer], dict[str, str]]:
    """Score images by all scorers of a panel.

    Scores are kept in `cache` and used again while the image file and the version of the scorer
    stay the same. The run may be killed and started again, also with another number of processes.

    Args:
        images: The images.
        sections: Sections of the scorers, as from `scorer_sections`.
        cache: Folder for one table per scorer and version.
        given: Further scorers, which have scored the images already.
        batch: Most images per call.
        process: This process among those that share the work; default the only one.

    Returns:
        The given scorers, then those that scored all images, and why the others failed, by word.

    Raises:
        DataError: If all scorers failed, and none is given.
    """
    process = process or Process()
    cache.mkdir(parents=True, exist_ok=True)
    panel = list(given)
    failures: dict[str, str] = {}
    for word, section in sections.items():
        reason = None
        try:
            scorer = build(SCORER_REGISTRY, section)
            table = table_path(cache, scorer)
            scoring = TableScoring(scorer, table, batch, process)
            scoring.score_share(images)
        except (MissingWeightsError, ImportError, ValueError, OSError) as error:
            reason = str(error)
        reasons = [other for other in process.gather(reason) if other]
        if reasons:
            failures[word] = reasons[0]
            logger.warning('%s is left out: %s', word, reasons[0])
            continue
        if process.is_main:
            scoring.merge(images.groups)
        process.barrier()
        panel.append(read_scores(scorer, section, table, [other.name for other in panel]))
    if not panel:
        listing = [f'{word}: {reason}' for word, reason in failures.items()]
        raise DataError('\n'.join(['no scorer could be used.', *listing]))
    return panel, failures


def table_path(cache: Path, scorer: QualityScorer) -> Path:
    """Name the table of a scorer in one version."""
    digest = hashlib.sha256(scorer.version.encode()).hexdigest()[:8]
    return cache / f'{re.sub(r"[^A-Za-z0-9_+-]+", "_", scorer.name)[:60]}-{digest}.csv'


def read_scores(
    scorer: QualityScorer, section: Mapping[str, Any], table: Path, taken: Sequence[str]
) -> PanelScorer:
    """Read the scores of a scorer, and give it a name that is not taken."""
    name = scorer.name if scorer.name not in taken else f'{scorer.name} ({scorer.version})'
    quality = {row.candidate: row.quality for row in read_rows(table)}
    missing = sum(value != value for value in quality.values())
    if missing:
        logger.warning('%s has no score for %d of %d images.', name, missing, len(quality))
    return PanelScorer(name, section, scorer.differentiable, scorer.lower_better, quality)
