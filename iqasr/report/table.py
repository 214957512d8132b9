"""Tables of means and of paired differences, in Markdown and LaTeX."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from iqasr.analysis.bootstrap import Estimate
from iqasr.report.comparison import Cell, RunComparison
from iqasr.runtime.markdown import escape_markdown, markdown_table

ARROWS = {'higher': ' ↑', 'lower': ' ↓', None: ''}

_LATEX_SPECIAL = {
    **{character: f'\\{character}' for character in '&%$#_{}'},
    **{character: f'{{{character}}}' for character in '[]'},  # after \\ they would be an argument
    '~': r'\textasciitilde{}',
    '^': r'\textasciicircum{}',
    '\\': r'\textbackslash{}',
    '<': r'\textless{}',
    '>': r'\textgreater{}',
    '↑': r'$\uparrow$',
    '↓': r'$\downarrow$',
}


@dataclass(frozen=True)
class Markup:
    """A markup language for tables.

    Args:
        escape: Escapes plain text.
        escape_number: Escapes formatted numbers.
        bold: Format of bold text.
        table: From the head and the rows, whose cells are markup already, to a table.
    """

    escape: Callable[[str], str]
    escape_number: Callable[[str], str]
    bold: str
    table: Callable[[Sequence[str], Sequence[Sequence[str]]], str]

    def tables(self, comparisons: Sequence[RunComparison]) -> str:
        """Write the means of runs, one row each, and their differences to the baseline.

        Returns:
            Two tables per test set. The best value of every column is bold, and so are differences
            whose 95 % interval excludes 0.
        """
        parts = []
        for c in comparisons:
            metrics = [f'{metric.upper()}{ARROWS[better]}' for metric, better in c.better.items()]
            means = [[self.mark(format_number(x.mean), x.best) for x in row] for row in c.cells]
            parts.append(self.named_table([c.dataset, *metrics], c.runs, means))
            if len(c.runs) > 1:
                names = [f'{run} - {c.runs[c.baseline]}' for run in others(c.runs, c)]
                rows = [[self.difference(cell) for cell in row] for row in others(c.cells, c)]
                head = [f'{c.dataset}, {len(c.images)} images', *metrics]
                parts.append(self.named_table(head, names, rows))
        return '\n\n'.join(parts)

    def named_table(
        self, head: Sequence[str], names: Sequence[str], rows: Sequence[list[str]]
    ) -> str:
        """Write a table with plain text in its head and first column."""
        named = [[self.escape(n), *row] for n, row in zip(names, rows, strict=True)]
        return self.table([self.escape(text) for text in head], named)

    def difference(self, cell: Cell) -> str:
        """Write a difference with its interval."""
        value = self.mark(format_difference(cell.difference.value), cell.verdict)
        return f'{value} {self.escape_number(format_interval(cell.difference))}'

    def mark(self, number: str, bold: bool | str) -> str:
        """Write a number, bold if so."""
        return self.bold % self.escape_number(number) if bold else self.escape_number(number)


def format_number(value: float, sign: str = '', digits: int = 3) -> str:
    """Format a number; a dash if it is not finite.

    Example:
        >>> format_number(1.5), format_number(1.5, '+'), format_number(float('nan'))
        ('1.500', '+1.500', '-')
    """
    return f'{value:{sign}.{digits}f}' if math.isfinite(value) else '-'


def format_difference(value: float) -> str:
    """Format a difference, with one digit more than a value, since runs are often close.

    Example:
        >>> format_difference(0.00021)
        '+0.0002'
    """
    return format_number(value, '+', 4)


def format_interval(difference: Estimate) -> str:
    """Format the interval of a difference."""
    return f'[{format_difference(difference.low)}, {format_difference(difference.high)}]'


def others(items: Sequence[Any], comparison: RunComparison) -> list[Any]:
    """All items but that of the baseline."""
    return [item for run, item in enumerate(items) if run != comparison.baseline]


def escape_latex(text: str) -> str:
    r"""Escape text for LaTeX.

    Example:
        >>> escape_latex('a_b 50%')
        'a\\_b 50\\%'
    """
    return ''.join(_LATEX_SPECIAL.get(character, character) for character in ' '.join(text.split()))


def latex_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table whose cells are LaTeX already, with the rules of ``booktabs``."""
    first, *lines = [f'{" & ".join(cells)} \\\\' for cells in (head, *rows)]
    columns = 'l' + 'r' * (len(head) - 1)
    body = [first, r'\midrule', *lines]
    return '\n'.join(
        [f'\\begin{{tabular}}{{{columns}}}', r'\toprule', *body, r'\bottomrule', r'\end{tabular}']
    )


MARKDOWN = Markup(escape_markdown, str, '**%s**', markdown_table)
LATEX = Markup(escape_latex, lambda text: text.replace('-', '$-$'), r'\textbf{%s}', latex_table)
