"""What an analysis leaves behind: a Markdown report, CSV, JSON, pictures, an option fragment."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from iqasr.analysis.analysis import Analysis
from iqasr.analysis.bootstrap import Estimate
from iqasr.analysis.complementarity import MEANING
from iqasr.analysis.plots import write_heat_map, write_reliability
from iqasr.runtime.atomic_files import write_json, write_text_atomically

HEAT_MAPS = {
    'accuracy_where_wrong': 'Accuracy where this scorer is wrong',
    'jaccard': 'Overlap of errors',
}


def write_analysis(analysis: Analysis, folder: Path) -> str:
    """Write all results into a folder.

    Args:
        analysis: What to write.
        folder: Receives ``report.md``, ``analysis.json``, ``agreement.csv``,
            ``complementarity.csv``, ``combinations.csv``, ``ensemble.yml`` and three pictures.

    Returns:
        The report, Markdown.
    """
    names = analysis.comparisons.names
    text = markdown_report(analysis)
    write_text_atomically(text, folder / 'report.md')
    write_text_atomically(analysis.fragment, folder / 'ensemble.yml')
    tables = {
        'agreement': list(agreement_rows(analysis)),
        'complementarity': list(complementarity_rows(analysis)),
        'combinations': list(combination_rows(analysis)),
    }
    for name, rows in tables.items():
        write_text_atomically(csv_of(rows), folder / f'{name}.csv')
    curves = {what: [asdict(c) for c in found] for what, found in analysis.reliability.items()}
    about = {
        'pairs': len(analysis.comparisons.p_b),
        'ties': analysis.ties,
        'sources': source_count(analysis),
    }
    write_json(about | tables | {'reliability': curves}, folder / 'analysis.json')
    for name, title in HEAT_MAPS.items():
        table = analysis.complementarity[name]
        write_heat_map(folder / f'{name}.png', table, names, title, 'this scorer')
    write_reliability(folder / 'reliability.png', analysis.reliability)
    return text


def source_count(analysis: Analysis) -> int:
    """How many sources the decided pairs come from."""
    return len(np.unique(analysis.comparisons.sources))


def agreement_rows(analysis: Analysis) -> Iterable[dict[str, Any]]:
    """One row per scorer."""
    for i, name in enumerate(analysis.comparisons.names):
        estimates = {'accuracy': analysis.accuracy[i]}
        estimates |= {kind: found[i] for kind, found in (analysis.correlations or {}).items()}
        yield {'scorer': name, 'undecided': analysis.undecided[i], **spread_out(estimates)}


def complementarity_rows(analysis: Analysis) -> Iterable[dict[str, Any]]:
    """One row for every two scorers."""
    names = analysis.comparisons.names
    for i, name in enumerate(names):
        for j, other in enumerate(names):
            if i != j:
                cells = {kind: analysis.complementarity[kind][i][j] for kind in MEANING}
                yield {'scorer': name, 'other': other, **spread_out(cells)}


def combination_rows(analysis: Analysis) -> Iterable[dict[str, Any]]:
    """One row per combination."""
    for found in analysis.combinations:
        yield {
            'combination': found.name,
            'weights': weights_text(found.weights),
            **spread_out({'accuracy': found.accuracy, 'gain': found.gain}),
        }


def weights_text(weights: dict[str, float]) -> str:
    """Name scorers and their shares."""
    return ', '.join(f'{name} {share:.2f}' for name, share in weights.items())


def spread_out(estimates: dict[str, Estimate]) -> dict[str, float | None]:
    """Give each estimate three columns; None where there is nothing to estimate."""
    return {
        f'{name}{ending}': None if np.isnan(value) else value
        for name, found in estimates.items()
        for ending, value in zip(('', '_low', '_high'), found, strict=True)
    }


def csv_of(rows: Sequence[dict[str, Any]]) -> str:
    """Write rows with the same keys as CSV; without rows, nothing."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def markdown_report(analysis: Analysis) -> str:
    """Put everything that matters into three tables."""
    parts = [
        f'{len(analysis.comparisons.p_b)} pairs from {source_count(analysis)} source images '
        f'({analysis.ties} more without a clear winner). In brackets: 95 % intervals over source '
        'images.',
        agreement_table(analysis),
    ]
    if len(analysis.comparisons.names) > 1:
        parts += [complement_table(analysis), combination_table(analysis)]
    pictures = [f'![{title}]({name}.png)' for name, title in HEAT_MAPS.items()]
    pictures.append('![Accuracy where the case is clear](reliability.png)')
    return '\n\n'.join([*parts, *pictures]) + '\n'


def agreement_table(analysis: Analysis) -> str:
    """Scorers and how they agree with people, the best first."""
    kinds = {'accuracy': analysis.accuracy, **(analysis.correlations or {})}
    order = np.argsort([-found.value for found in analysis.accuracy], kind='stable')
    rows = [
        [
            analysis.comparisons.names[i],
            *(str(k[i]) for k in kinds.values()),
            f'{analysis.undecided[i]:.1%}',
        ]
        for i in order
    ]
    return markdown(
        ['scorer', *(k if k == 'accuracy' else k.upper() for k in kinds), 'undecided'], rows
    )


def complement_table(analysis: Analysis) -> str:
    """For each scorer, the one that is right most often where it is wrong."""
    names, tables = analysis.comparisons.names, analysis.complementarity
    rows = []
    for i, name in enumerate(names):
        where_wrong = [
            -1 if np.isnan(cell.value) else cell.value for cell in tables['accuracy_where_wrong'][i]
        ]
        j = int(np.argmax(where_wrong))
        if where_wrong[j] >= 0:
            kinds = ('accuracy_where_wrong', 'oracle', 'jaccard', 'phi')
            rows.append([name, names[j], *(str(tables[kind][i][j]) for kind in kinds)])
    head = ['where this scorer is wrong', 'best other', 'its accuracy there', 'oracle of both']
    return markdown([*head, 'errors shared (Jaccard)', 'phi'], rows)


def combination_table(analysis: Analysis) -> str:
    """Combinations, on sources they were not fitted to."""
    rows = [
        [found.name, weights_text(found.weights), str(found.accuracy), gain_text(found.gain)]
        for found in analysis.combinations
    ]
    return markdown(
        ['combination', 'weights', 'accuracy, held out', 'gain over the best scorer'], rows
    )


def gain_text(gain: Estimate) -> str:
    """Bold where the interval excludes 0."""
    mark = '**' if gain.low > 0 or gain.high < 0 else ''
    return f'{mark}{gain.value:+.3f}{mark} [{gain.low:+.3f}, {gain.high:+.3f}]'


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay a table out."""
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)
