"""A table of means, in Markdown."""

from collections.abc import Sequence

from iqasr.report.results import Results, common_sets

ARROWS = {'higher': ' ↑', 'lower': ' ↓', None: ''}


def markdown_table(results: Sequence[Results]) -> str:
    """Compare results, one row each, one table per test set.

    Args:
        results: What is compared; the metrics are those of the first.

    Returns:
        Markdown; the best value of every column in bold.
    """
    return '\n\n'.join(table_of(results, name) for name in common_sets(results))


def table_of(results: Sequence[Results], dataset: str) -> str:
    """Make the table of one test set."""
    metrics = results[0].better
    rows = [[r.sets[dataset]['means'].get(m, float('nan')) for m in metrics] for r in results]
    best = [
        {'higher': max, 'lower': min}[metrics[m]](column) if metrics[m] else None
        for m, column in zip(metrics, zip(*rows, strict=True), strict=True)
    ]
    lines = [
        f'| {dataset} | '
        + ' | '.join(f'{m.upper()}{ARROWS[d]}' for m, d in metrics.items())
        + ' |',
        '|---' * (len(metrics) + 1) + '|',
    ]
    for result, row in zip(results, rows, strict=True):
        cells = [
            f'**{value:.3f}**' if value == top else f'{value:.3f}'
            for value, top in zip(row, best, strict=True)
        ]
        lines.append(f'| {result.name} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)
