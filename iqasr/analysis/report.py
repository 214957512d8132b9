"""The results of an analysis: a Markdown report, CSV, JSON, plots and an option fragment."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from iqasr.analysis.agreement import Comparisons, ReliabilityCurve, Table
from iqasr.analysis.bootstrap import Estimate
from iqasr.analysis.combination import CROSS_VALIDATION_FOLDS, Combination
from iqasr.analysis.plots import write_heat_map, write_reliability
from iqasr.runtime.atomic_files import write_csv, write_json, write_text_atomically
from iqasr.runtime.markdown import markdown_table

HEAT_MAPS = {
    'accuracy_where_wrong': 'Accuracy where this scorer is wrong',
    'jaccard': 'Overlap of errors',
}

HEADINGS = {'accuracy': 'accuracy', 'top_1': 'top-1'}
"""Of kinds of agreement that are no coefficients."""

PLCC_NOTE = (
    'PLCC after a rising logistic curve (0: none helps), fitted to the same images: its interval '
    'is too hopeful for scorers that hardly agree; believe that of SROCC.'
)
"""What readers of a table of coefficients over images have to know."""

FEW_SOURCES = (
    f'With fewer than {CROSS_VALIDATION_FOLDS} source images no cross-validation is possible: '
    'nothing is claimed of combinations.'
)


@dataclass(frozen=True)
class PanelAnalysis:
    """The agreement of a panel of scorers with people, and with each other."""

    comparisons: Comparisons
    """The pairs that people decided."""
    ties: int
    """Pairs that people did not decide, or not clearly enough; they count only in correlations."""
    of_images: bool
    """Whether correlations are those of `correlate_opinions`, over images; else over pairs."""
    undecided: list[float]
    """Share of the pairs that each scorer cannot tell apart."""
    agreement: Mapping[str, list[Estimate]]
    """``accuracy``; ``top_1``, where opinions of single images were compared; and coefficients of
    correlation, where there is something to correlate with."""
    top_1_chance: float | None
    """Chance level of ``top_1``."""
    complementarity: Mapping[str, Table]
    combinations: list[Combination]
    """None where there are too few sources."""
    reliability: Mapping[str, list[ReliabilityCurve]]
    """By the measure of how clear a pair is."""
    fragment: str
    """The fitted ensemble, YAML."""


def write_analysis(analysis: PanelAnalysis, folder: Path) -> str:
    """Write all results into a folder.

    Args:
        analysis: The analysis.
        folder: Receives ``report.md``, ``analysis.json``, ``agreement.csv``,
            ``complementarity.csv``, ``combinations.csv``, ``ensemble.yml`` and three plots.

    Returns:
        The report, Markdown.
    """
    names = analysis.comparisons.names
    text = report_text(analysis)
    write_text_atomically(text, folder / 'report.md')
    write_text_atomically(analysis.fragment, folder / 'ensemble.yml')
    tables = {
        'agreement': list(agreement_rows(analysis)),
        'complementarity': list(complementarity_rows(analysis)),
        'combinations': list(combination_rows(analysis)),
    }
    for name, rows in tables.items():
        write_csv(list(rows[0]) if rows else [], rows, folder / f'{name}.csv')
    curves = {by: [asdict(c) for c in found] for by, found in analysis.reliability.items()}
    counts = {
        'pairs': len(analysis.comparisons.p_b),
        'ties': analysis.ties,
        'sources': len(np.unique(analysis.comparisons.sources)),
        'top_1_chance': analysis.top_1_chance,
    }
    write_json(counts | tables | {'reliability': curves}, folder / 'analysis.json')
    for name, title in HEAT_MAPS.items():
        table = analysis.complementarity[name]
        write_heat_map(folder / f'{name}.png', table, names, title, 'this scorer')
    write_reliability(folder / 'reliability.png', analysis.reliability)
    return text


def agreement_rows(analysis: PanelAnalysis) -> Iterator[dict[str, Any]]:
    """Yield one row per scorer."""
    for i, name in enumerate(analysis.comparisons.names):
        estimates = {kind: found[i] for kind, found in analysis.agreement.items()}
        yield {'scorer': name, 'undecided': analysis.undecided[i], **as_columns(estimates)}


def complementarity_rows(analysis: PanelAnalysis) -> Iterator[dict[str, Any]]:
    """Yield one row for each ordered pair of scorers."""
    names = analysis.comparisons.names
    for i, name in enumerate(names):
        for j, other in enumerate(names):
            if i != j:
                cells = {kind: table[i][j] for kind, table in analysis.complementarity.items()}
                yield {'scorer': name, 'other': other, **as_columns(cells)}


def combination_rows(analysis: PanelAnalysis) -> Iterator[dict[str, Any]]:
    """Yield one row per combination."""
    for found in analysis.combinations:
        yield {
            'combination': found.name,
            'weights': weights_text(found.weights),
            **as_columns({'accuracy': found.accuracy, 'gain': found.gain}),
            'verdict': found.verdict,
        }


def weights_text(weights: dict[str, float]) -> str:
    """Format scorers with their shares."""
    return ', '.join(f'{name} {share:.2f}' for name, share in weights.items())


def as_columns(estimates: dict[str, Estimate]) -> dict[str, float | None]:
    """Spread each estimate over three columns; None for NaN."""
    return {
        f'{name}{ending}': None if np.isnan(value) else value
        for name, found in estimates.items()
        for ending, value in zip(('', '_low', '_high'), found, strict=True)
    }


def report_text(analysis: PanelAnalysis) -> str:
    """Write the report: three tables and the plots."""
    comparisons = analysis.comparisons
    parts = [
        f'{len(comparisons.p_b)} pairs from {len(np.unique(comparisons.sources))} source images '
        f'({analysis.ties} more without a clear winner). In brackets: 95 % intervals over source '
        'images.',
        agreement_table(analysis),
    ]
    if analysis.top_1_chance is not None:
        parts[0] += (
            " Top-1: in how many sources a scorer's best image is the one that people like best; "
            f'by chance {analysis.top_1_chance:.3f}.'
        )
    if analysis.of_images:
        parts[0] += f' {PLCC_NOTE}'
    if len(comparisons.names) > 1:
        parts.append(complementarity_table(analysis))
        parts.append(combination_table(analysis) if analysis.combinations else FEW_SOURCES)
    plots = [f'![{title}]({name}.png)' for name, title in HEAT_MAPS.items()]
    plots.append('![Accuracy where the case is clear](reliability.png)')
    return '\n\n'.join([*parts, *plots]) + '\n'


def agreement_table(analysis: PanelAnalysis) -> str:
    """Table of the scorers and their agreement with people, the best first."""
    kinds, names = analysis.agreement, analysis.comparisons.names
    order = np.argsort([-found.value for found in kinds['accuracy']], kind='stable')
    return markdown_table(
        ['scorer', *(HEADINGS.get(kind, kind.upper()) for kind in kinds), 'undecided'],
        [
            [names[i], *(str(found[i]) for found in kinds.values()), f'{analysis.undecided[i]:.1%}']
            for i in order
        ],
    )


def complementarity_table(analysis: PanelAnalysis) -> str:
    """Table of each scorer with the other that is right most often where it is wrong."""
    names, tables = analysis.comparisons.names, analysis.complementarity
    rows = []
    for i, name in enumerate(names):
        where_wrong = [cell.value for cell in tables['accuracy_where_wrong'][i]]
        if np.isfinite(where_wrong).any():
            j = int(np.nanargmax(where_wrong))
            kinds = ('accuracy_where_wrong', 'oracle', 'jaccard', 'phi')
            rows.append([name, names[j], *(str(tables[kind][i][j]) for kind in kinds)])
    head = ['where this scorer is wrong', 'best other', 'its accuracy there', 'oracle of both']
    return markdown_table([*head, 'errors shared (Jaccard)', 'phi'], rows)


def combination_table(analysis: PanelAnalysis) -> str:
    """Table of the combinations, on sources to which they were not fitted."""
    return markdown_table(
        ['combination', 'weights', 'accuracy, held out', 'gain over the best scorer', 'so it is'],
        [
            [c.name, weights_text(c.weights), str(c.accuracy), c.gain.as_difference(), c.verdict]
            for c in analysis.combinations
        ],
    )
