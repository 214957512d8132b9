"""The whole analysis: from pairs and scorers to estimates."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from iqasr.analysis.agreement import Comparisons, Reliability, accuracy, reliability
from iqasr.analysis.bootstrap import RESAMPLES, Estimate, SourceBootstrap
from iqasr.analysis.combination import Combination, combinations
from iqasr.analysis.complementarity import Table, complementarity
from iqasr.analysis.correlation import correlations
from iqasr.analysis.fragment import option_fragment
from iqasr.analysis.pairs import Pair, read_pairs
from iqasr.analysis.panel import Judge, ask_panel, scorer_sections
from iqasr.distributed import join_processes, leave_processes


@dataclass(frozen=True)
class Analysis:
    """What is known of a panel of scorers."""

    comparisons: Comparisons
    """The pairs that people decided."""
    ties: int
    """Pairs that they did not, or not clearly enough; these count only for correlations."""
    undecided: list[float]
    """Share of the pairs that each scorer cannot tell apart."""
    accuracy: list[Estimate]
    correlations: Mapping[str, list[Estimate]] | None
    complementarity: Mapping[str, Table]
    combinations: list[Combination]
    reliability: Mapping[str, list[Reliability]]
    """By what makes a case clear."""
    fragment: str
    """The fitted ensemble, YAML."""


def analyse(
    pairs: Sequence[Pair],
    judges: Sequence[Judge],
    *,
    least_margin: float = 0.0,
    resamples: int = RESAMPLES,
) -> Analysis:
    """Estimate everything, with intervals over sources.

    Args:
        pairs: What people prefer.
        judges: What scorers say of the images.
        least_margin: As in `Comparisons.decided`.
        resamples: As in `SourceBootstrap`.

    Raises:
        DataError: If fewer than two sources have a pair that people decided.
    """
    every = Comparisons.of(pairs, {judge.name: judge.quality for judge in judges})
    decided = every.decided(least_margin)
    bootstrap = SourceBootstrap(decided.sources, resamples)
    difference, margin = decided.difference, np.abs(decided.p_b - 0.5)
    clear = {'difference of quality, z-scored': np.abs(decided.scaled().difference)}
    if np.ptp(margin) > 0:
        clear['margin among people, |p_b - 0.5|'] = margin
    smooth = [judge.name for judge in judges if judge.differentiable]
    return Analysis(
        comparisons=decided,
        ties=len(every.p_b) - len(decided.p_b),
        undecided=(difference == 0).mean(0).tolist(),
        accuracy=accuracy(decided, difference, bootstrap),
        correlations=correlations(every, resamples),
        complementarity=complementarity(decided, bootstrap),
        combinations=combinations(decided, bootstrap, smooth),
        reliability={what: reliability(decided, by, bootstrap) for what, by in clear.items()},
        fragment=option_fragment(decided, judges),
    )


def analyse_from_options(
    source: str,
    scorers: Sequence[str],
    output: str,
    *,
    least_margin: float = 0.0,
    resamples: int = RESAMPLES,
    batch: int = 8,
    cpu: bool = False,
) -> tuple[str, dict[str, str]]:
    """Analyse in one process, or share the scoring among those that torchrun started.

    Args:
        source: As in `read_pairs`.
        scorers: As in `scorer_sections`.
        output: Folder for scores and results.
        least_margin: As in `analyse`, as is `resamples`.
        batch: As in `ask_panel`.
        cpu: Leave the GPU alone.

    Returns:
        The report, Markdown (empty in all processes but the first), and why scorers were left out,
        by word.

    Raises:
        DataError: As `read_pairs`, `ask_panel` and `analyse`.
        OptionError: As `scorer_sections`.
    """
    from iqasr.analysis.report import write_analysis

    sections, pairs = scorer_sections(scorers), read_pairs(source)
    launcher = 'pytorch' if 'RANK' in os.environ else 'none'
    process = join_processes(launcher, 0 if cpu else 'auto')
    try:
        cache = Path(output, 'scores')
        asked = {'batch': batch, 'process': process}
        judges, failures = ask_panel(pairs.images(), sections, cache, **asked)
        if not process.is_main:
            return '', failures
        chosen = {'least_margin': least_margin, 'resamples': resamples}
        analysis = analyse(pairs.pairs, judges, **chosen)
        return write_analysis(analysis, Path(output)), failures
    finally:
        leave_processes()
