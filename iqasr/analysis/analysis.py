"""The analysis of a panel of scorers: from files to a folder of results."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from iqasr.analysis.agreement import Comparisons, accuracy, complementarity, reliability_curves
from iqasr.analysis.bootstrap import RESAMPLES, SourceBootstrap
from iqasr.analysis.combination import evaluate_combinations, option_fragment
from iqasr.analysis.correlation import correlate_pairs
from iqasr.analysis.opinions import has_opinions, read_opinions, write_correlations
from iqasr.analysis.pairs import ImagePair, PairSet, image_set, read_pairs
from iqasr.analysis.panel import PanelScorer, score_by_panel
from iqasr.analysis.report import PanelAnalysis, write_analysis
from iqasr.checking.components import scorer_sections
from iqasr.runtime.distributed import joined_processes


def analyse_metrics(
    source: str | PairSet,
    scorers: Sequence[str],
    output: str,
    *,
    least_margin: float = 0.0,
    resamples: int = RESAMPLES,
    batch: int = 8,
    cpu: bool = False,
) -> tuple[str, dict[str, str]]:
    """Analyse how scorers agree with people; under ``torchrun``, the processes share the scoring.

    Args:
        source: Pairs, or their source as in `read_pairs`, or a CSV file of mean opinion scores as
            in `read_opinions`.
        scorers: As in `scorer_sections`.
        output: Folder for scores and results.
        least_margin: As in `analyse_panel`, as is `resamples`.
        batch: As in `score_by_panel`.
        cpu: Do not use the GPU.

    Returns:
        The report, Markdown, and why scorers were left out, by word. Both are empty in all
        processes but the first.

    Raises:
        DataError: As `read_pairs`, `read_opinions`, `score_by_panel` and `analyse_panel`.
        OptionError: As `scorer_sections`.
    """
    sections = scorer_sections(scorers)
    if isinstance(source, PairSet) or not has_opinions(source):
        pairs = source if isinstance(source, PairSet) else read_pairs(source)
        opinions, images = None, pairs.images()
    else:
        opinions = read_opinions(source)
        images = image_set((opinion.source_id, opinion.path) for opinion in opinions)
    folder = Path(output)
    with joined_processes(cpu=cpu) as process:
        panel, failures = score_by_panel(
            images, sections, folder / 'scores', batch=batch, process=process
        )
        if not process.is_main:
            return '', {}  # torchrun ends all processes when one ends with an error
        if opinions is not None:
            return write_correlations(opinions, panel, folder, resamples), failures
        analysis = analyse_panel(pairs.pairs, panel, least_margin=least_margin, resamples=resamples)
        return write_analysis(analysis, folder), failures


def analyse_panel(
    pairs: Sequence[ImagePair],
    scorers: Sequence[PanelScorer],
    *,
    least_margin: float = 0.0,
    resamples: int = RESAMPLES,
) -> PanelAnalysis:
    """Compute all estimates, with intervals over sources.

    Args:
        pairs: Preferences of people.
        scorers: Scorers with their quality of the images.
        least_margin: As in `Comparisons.decided`.
        resamples: As in `SourceBootstrap`.

    Raises:
        DataError: If fewer than two sources have a pair that people decided.
    """
    every = Comparisons.of(pairs, {scorer.name: scorer.quality for scorer in scorers})
    decided = every.decided(least_margin)
    bootstrap = SourceBootstrap(decided.sources, resamples)
    difference, margin = decided.difference, np.abs(decided.p_b - 0.5)
    clearness = {'difference of quality, z-scored': np.abs(decided.scaled().difference)}
    if np.ptp(margin) > 0:
        clearness['margin among people, |p_b - 0.5|'] = margin
    differentiable = [scorer.name for scorer in scorers if scorer.differentiable]
    return PanelAnalysis(
        comparisons=decided,
        ties=len(every.p_b) - len(decided.p_b),
        undecided=(difference == 0).mean(0).tolist(),
        agreement={
            'accuracy': bootstrap.estimates(accuracy(decided, difference, bootstrap)),
            **correlate_pairs(every, resamples),
        },
        complementarity=complementarity(decided, bootstrap),
        combinations=evaluate_combinations(decided, bootstrap, differentiable),
        reliability={
            label: reliability_curves(decided, values, bootstrap)
            for label, values in clearness.items()
        },
        fragment=option_fragment(decided, scorers),
    )
