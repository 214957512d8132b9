"""Several sets of people's judgements: each analysed, and accuracy side by side, with the mean."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from iqasr.analysis.agreement import accuracy
from iqasr.analysis.analysis import analyse_metrics
from iqasr.analysis.bootstrap import RESAMPLES, UNKNOWN, Estimate, SourceBootstrap, estimate_from
from iqasr.analysis.given_scores import ScoreColumn, refuse_unknown_columns
from iqasr.analysis.pairs import PairSet
from iqasr.analysis.report import PanelAnalysis, as_columns
from iqasr.runtime.atomic_files import write_csv, write_text_atomically
from iqasr.runtime.errors import DataError
from iqasr.runtime.markdown import markdown_table
from iqasr.runtime.randomness import seed_of

MEAN = 'mean over sets'
"""Heading of the mean over data sets."""


def analyse_data_sets(
    sources: Mapping[str, str | PairSet],
    scorers: Sequence[str],
    output: str,
    *,
    given: Sequence[ScoreColumn] = (),
    resamples: int = RESAMPLES,
    **choices: Any,
) -> tuple[str, dict[str, str]]:
    """Analyse each data set, several of them in folders of their own, and summarise.

    Args:
        sources: The data sets, as in `analyse_metrics`, by name.
        scorers: As in `scorer_sections`.
        output: Folder for the results; of several data sets also for ``summary.csv`` and
            ``summary.md``.
        given: As in `analyse_metrics`, as are `resamples` and `choices`. Each needs to be in one of
            the data sets only.

    Returns:
        The report, Markdown, and why scorers were left out, by word.

    Raises:
        DataError: As `analyse_metrics` and `refuse_unknown_columns`; or if no metric is named.
        OptionError: As `analyse_metrics`.
    """
    if not scorers and not given:
        raise DataError('there is no metric. Name scorers, or columns of scores.')
    paths = [source for source in sources.values() if isinstance(source, str)]
    refuse_unknown_columns(given, [path for path in paths if Path(path).is_file()])
    choices |= {'given': given, 'resamples': resamples}
    if len(sources) == 1:
        (source,) = sources.values()
        report, _, failures = analyse_metrics(source, scorers, output, **choices)
        return report, failures
    analyses, reports, left_out = {}, [], {}
    for name, source in sources.items():
        folder = Path(output) / name
        report, analyses[name], failures = analyse_metrics(source, scorers, str(folder), **choices)
        left_out |= failures
        reports.append(f'# {name}\n\n{report}')
    if found := {name: analysis for name, analysis in analyses.items() if analysis}:
        summary = write_accuracies(summarise_accuracies(found, resamples), Path(output))
        reports.append(f'# All\n\n{summary}')
    return '\n'.join(reports), left_out


def name_data_sets(paths: Sequence[str]) -> list[str]:
    """Name data sets by the ends of their paths, as short as they differ.

    Raises:
        DataError: If one is there twice.

    Example:
        >>> name_data_sets(['a/pairs.csv', 'b/pairs.csv'])
        ['a-pairs', 'b-pairs']
    """
    parts = [Path(path).resolve().with_suffix('').parts for path in paths]
    for depth in range(1, 1 + max(map(len, parts))):
        names = ['-'.join(each[-depth:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    raise DataError(f'{", ".join(paths)}: two of these are called alike. Name each data set once.')


def summarise_accuracies(
    analyses: Mapping[str, PanelAnalysis], resamples: int
) -> dict[str, dict[str, Estimate]]:
    """Put the accuracy of every scorer on each data set side by side, with their mean.

    The sources of each data set are resampled on their own. The interval of the mean allows for few
    sources as that of the smallest data set does.

    Args:
        analyses: By data set.
        resamples: As in `SourceBootstrap`.

    Returns:
        By scorer, by data set and `MEAN`. The mean is unknown where a data set is without a scorer.
    """
    samples: dict[str, dict[str, np.ndarray]] = {}
    ends: dict[str, np.ndarray] = {}
    sources: dict[str, int] = {}
    for name, analysis in analyses.items():
        pairs = analysis.comparisons
        bootstrap = SourceBootstrap(pairs.sources, resamples)
        # Data sets with equally many sources would else have the same draws.
        order = np.random.default_rng(seed_of('data set', name)).permutation(resamples)
        found = accuracy(pairs, pairs.difference, bootstrap)[np.append(0, 1 + order)]
        ends[name], sources[name] = bootstrap.ends, bootstrap.counts.shape[1]
        for scorer, column in zip(pairs.names, found.T, strict=True):
            samples.setdefault(scorer, {})[name] = column
    smallest = ends[min(sources, key=sources.__getitem__)]
    table = {}
    for scorer, of in samples.items():
        table[scorer] = {
            name: estimate_from(of[name], ends[name]) if name in of else UNKNOWN
            for name in analyses
        }
        mean = sum(of.values()) / len(of)
        table[scorer][MEAN] = estimate_from(mean, smallest) if len(of) == len(analyses) else UNKNOWN
    return table


def write_accuracies(table: Mapping[str, Mapping[str, Estimate]], folder: Path) -> str:
    """Write ``summary.csv`` and ``summary.md``, the best mean first; return the Markdown."""
    order = sorted(table, key=lambda scorer: -np.nan_to_num(table[scorer][MEAN].value, nan=-1))
    names = list(next(iter(table.values())))
    text = (
        'Accuracy: how often a scorer prefers what people prefer, on each data set. In brackets: '
        '95 % intervals over the source images of each.\n\n'
        + markdown_table(
            ['scorer', *names],
            [[scorer, *(str(table[scorer][name]) for name in names)] for scorer in order],
        )
        + '\n'
    )
    rows = [{'scorer': scorer, **as_columns(dict(table[scorer]))} for scorer in order]
    write_csv(list(rows[0]), rows, folder / 'summary.csv')
    write_text_atomically(text, folder / 'summary.md')
    return text
