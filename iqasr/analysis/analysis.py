"""The analysis of a panel of scorers: from files to a folder of results."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from iqasr.analysis.agreement import Comparisons, accuracy, complementarity, reliability_curves
from iqasr.analysis.bootstrap import RESAMPLES, SourceBootstrap
from iqasr.analysis.combination import evaluate_combinations
from iqasr.analysis.correlation import correlate_pairs
from iqasr.analysis.ensemble_options import option_fragment
from iqasr.analysis.given_scores import ScoreColumn, read_given_scores
from iqasr.analysis.opinion_correlation import COEFFICIENTS, correlate_opinions, write_correlations
from iqasr.analysis.opinions import OpinionSet, has_opinions, read_opinions
from iqasr.analysis.pairs import ImagePair, PairSet, read_pairs
from iqasr.analysis.panel import PanelScorer, score_by_panel
from iqasr.analysis.report import PanelAnalysis, write_analysis
from iqasr.analysis.top_choice import estimate_top_1
from iqasr.checking.components import scorer_sections
from iqasr.runtime.distributed import joined_processes


def analyse_metrics(
    source: str | PairSet,
    scorers: Sequence[str],
    output: str,
    *,
    given: Sequence[ScoreColumn] = (),
    least_margin: float = 0.0,
    resamples: int = RESAMPLES,
    batch: int = 8,
    cpu: bool = False,
) -> tuple[str, PanelAnalysis | None, dict[str, str]]:
    """Analyse how scorers agree with people; under ``torchrun``, the processes share the scoring.

    Args:
        source: Pairs, or their source as in `read_pairs`, or a CSV file of opinions as in
            `read_opinions`.
        scorers: As in `scorer_sections`. If there are none, no image is needed.
        output: Folder for scores and results.
        given: Metrics whose scores stand in `source`, as in `read_given_scores`.
        least_margin: As in `analyse_panel`, as is `resamples`.
        batch: As in `score_by_panel`.
        cpu: Do not use the GPU.

    Returns:
        The report, Markdown; the analysis, None where no two images of a source are compared; and
        why scorers were left out, by word. All are empty in all processes but the first.

    Raises:
        DataError: As `read_pairs`, `read_opinions`, `read_given_scores`, `score_by_panel` and
            `analyse_panel`.
        OptionError: As `scorer_sections`.
    """
    sections = scorer_sections(scorers)
    judged: PairSet | OpinionSet
    if isinstance(source, PairSet):
        judged = source
    else:
        read = read_opinions if has_opinions(source) else read_pairs
        judged = read(source, with_images=bool(sections))
    opinions = judged if isinstance(judged, OpinionSet) else None
    has_columns = given and isinstance(source, str) and Path(source).is_file()
    columns = read_given_scores(source, given) if has_columns else []
    folder, choices = Path(output), {'batch': batch, 'given': columns}
    with joined_processes(cpu=cpu) as process:
        panel, failures = score_by_panel(
            judged.images(), sections, folder / 'scores', process=process, **choices
        )
        if not process.is_main:
            return '', None, {}  # torchrun ends all processes when one ends with an error
        pairs = judged.pairs
        if opinions and len({pair.source_id for pair in pairs if pair.p_b != 0.5}) < 2:
            text = write_correlations(opinions.opinions, panel, folder, resamples)
            return text, None, failures
        analysis = analyse_panel(
            pairs, panel, opinions=opinions, least_margin=least_margin, resamples=resamples
        )
        return write_analysis(analysis, folder), analysis, failures


def analyse_panel(
    pairs: Sequence[ImagePair],
    scorers: Sequence[PanelScorer],
    *,
    opinions: OpinionSet | None = None,
    least_margin: float = 0.0,
    resamples: int = RESAMPLES,
) -> PanelAnalysis:
    """Compute all estimates, with intervals over sources.

    Args:
        pairs: Preferences of people.
        scorers: Scorers with their quality of the images.
        opinions: The opinions of single images from which the pairs were made, if they were.
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
    agreement = {'accuracy': bootstrap.estimates(accuracy(decided, difference, bootstrap))}
    chance = None
    if opinions:
        agreement['top_1'], chance = estimate_top_1(opinions, scorers, resamples)
    if opinions and opinions.kind == 'mos':
        found = [correlate_opinions(opinions.opinions, scorer, resamples) for scorer in scorers]
        agreement |= {kind: [of_one[kind] for of_one in found] for kind in COEFFICIENTS}
    else:
        agreement |= correlate_pairs(every, resamples)
    combinations = evaluate_combinations(decided, bootstrap, scorers)
    return PanelAnalysis(
        comparisons=decided,
        ties=len(every.p_b) - len(decided.p_b),
        of_images=opinions is not None and opinions.kind == 'mos',
        undecided=(difference == 0).mean(0).tolist(),
        agreement=agreement,
        top_1_chance=chance,
        complementarity=complementarity(decided, bootstrap),
        combinations=combinations,
        reliability={
            label: reliability_curves(decided, values, bootstrap)
            for label, values in clearness.items()
        },
        fragment=option_fragment(decided, scorers, combinations),
    )
