"""One run of the analysis, from what a user names to a folder of results."""

import os
from collections.abc import Sequence
from pathlib import Path

from iqasr.analysis.analysis import analyse
from iqasr.analysis.bootstrap import RESAMPLES
from iqasr.analysis.opinions import holds_opinions, images_of, read_opinions, write_correlations
from iqasr.analysis.pairs import read_pairs
from iqasr.analysis.panel import ask_panel, scorer_sections
from iqasr.analysis.report import write_analysis
from iqasr.runtime.distributed import join_processes, leave_processes


def analyse_from_options(
    source: str,
    scorers: Sequence[str],
    output: str,
    *,
    votes: Sequence[str] = (),
    least_margin: float = 0.0,
    resamples: int = RESAMPLES,
    batch: int = 8,
    cpu: bool = False,
) -> tuple[str, dict[str, str]]:
    """Analyse in one process, or share the scoring among those that torchrun started.

    Args:
        source: As in `read_pairs`; or a CSV file of mean opinion scores, as in `read_opinions`.
        scorers: As in `scorer_sections`.
        output: Folder for scores and results.
        votes: As in `read_pairs`.
        least_margin: As in `analyse`, as is `resamples`.
        batch: As in `ask_panel`.
        cpu: Leave the GPU alone.

    Returns:
        The report, Markdown, and why scorers were left out, by word; both empty in all processes
        but the first.

    Raises:
        DataError: As `read_pairs`, `read_opinions`, `ask_panel` and `analyse`.
        OptionError: As `scorer_sections`.
    """
    sections = scorer_sections(scorers)
    opinions = read_opinions(source) if holds_opinions(source) else None
    pairs = read_pairs(source, votes) if opinions is None else None
    images = pairs.images() if opinions is None else images_of(opinions)
    launcher = 'pytorch' if 'RANK' in os.environ else 'none'
    process = join_processes(launcher, 0 if cpu else 'auto')
    try:
        cache = Path(output, 'scores')
        asked = {'batch': batch, 'process': process}
        judges, failures = ask_panel(images, sections, cache, **asked)
        if not process.is_main:
            return '', {}  # torchrun ends all processes when one ends with an error
        if opinions is not None:
            return write_correlations(opinions, judges, Path(output), resamples), failures
        chosen = {'least_margin': least_margin, 'resamples': resamples}
        analysis = analyse(pairs.pairs, judges, **chosen)
        return write_analysis(analysis, Path(output)), failures
    finally:
        leave_processes()
