"""Tables of means, and of paired differences, in Markdown and LaTeX."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from iqasr.report.comparison import Cell, Comparison

ARROWS = {'higher': ' ↑', 'lower': ' ↓', None: ''}

_LATEX_SPECIAL = {
    **{character: f'\\{character}' for character in '&%$#_{}'},
    **{character: f'{{{character}}}' for character in '[]'},  # after \\ they would be its argument
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
    """How a table is written.

    Args:
        escape: Keeps a name from being read as markup.
        figure: Writes numbers.
        bold: Format of what is marked.
        lay_out: From the names of the columns and the rows, all of them markup, to a table.
    """

    escape: Callable[[str], str]
    figure: Callable[[str], str]
    bold: str
    lay_out: Callable[[Sequence[str], Sequence[Sequence[str]]], str]

    def tables(self, comparisons: Sequence[Comparison]) -> str:
        """Compare runs, one row each: the means, then their differences to the baseline.

        Returns:
            Two tables per test set; in bold the best value of every column, and differences whose
            95 % interval excludes 0.
        """
        parts = []
        for c in comparisons:
            metrics = [self.escape(f'{m.upper()}{ARROWS[d]}') for m, d in c.better.items()]
            means = [[self.mark(number(x.mean), x.best) for x in row] for row in c.cells]
            parts.append(self.table(c.dataset, metrics, c.runs, means))
            if len(c.runs) > 1:
                names = [f'{run} - {c.runs[c.baseline]}' for run in others(c.runs, c)]
                gains = [[self.gain(cell) for cell in row] for row in others(c.cells, c)]
                corner = f'{c.dataset}, {len(c.images)} images'
                parts.append(self.table(corner, metrics, names, gains))
        return '\n\n'.join(parts)

    def table(
        self, corner: str, metrics: list[str], names: Sequence[str], rows: Sequence[list[str]]
    ) -> str:
        """Put names before the rows, and lay them out."""
        named = [[self.escape(n), *row] for n, row in zip(names, rows, strict=True)]
        return self.lay_out([self.escape(corner), *metrics], named)

    def gain(self, cell: Cell) -> str:
        """Write a difference with its interval."""
        return f'{self.mark(change(cell.difference[0]), cell.verdict)} {self.figure(limits(cell))}'

    def mark(self, text: str, applies: bool | str) -> str:
        """Write a number, in bold if that applies."""
        return self.bold % self.figure(text) if applies else self.figure(text)


def number(value: float, sign: str = '', digits: int = 3) -> str:
    """Write a number as all tables have it; a dash if there is none.

    Example:
        >>> number(1.5), number(1.5, '+'), number(float('nan'))
        ('1.500', '+1.500', '-')
    """
    return f'{value:{sign}.{digits}f}' if math.isfinite(value) else '-'


def change(value: float) -> str:
    """Write a difference, with one digit more than a value: runs are often close.

    Example:
        >>> change(0.00021)
        '+0.0002'
    """
    return number(value, '+', 4)


def limits(cell: Cell) -> str:
    """Write the interval of a difference."""
    return f'[{", ".join(map(change, cell.difference[1:]))}]'


def others(items: Sequence[Any], comparison: Comparison) -> list[Any]:
    """Leave out what belongs to the baseline."""
    return [item for run, item in enumerate(items) if run != comparison.baseline]


def escape_markdown(text: str) -> str:
    r"""Keep a name from being read as Markdown.

    Example:
        >>> escape_markdown('a_b|*c*')
        'a_b\\|\\*c\\*'
    """
    special = r'[\\`*|<>\[\]]|(?<![^\W_])_|_(?![^\W_])'  # inside a word, _ is nothing special
    return re.sub(special, lambda match: '\\' + match[0], ' '.join(text.split()))


def escape_latex(text: str) -> str:
    r"""Keep a name from being read as LaTeX.

    Example:
        >>> escape_latex('a_b 50%')
        'a\\_b 50\\%'
    """
    return ''.join(_LATEX_SPECIAL.get(character, character) for character in ' '.join(text.split()))


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out cells that are Markdown already."""
    lines = [f'| {" | ".join(cells)} |' for cells in (head, *rows)]
    return '\n'.join([lines[0], '|---' * len(head) + '|', *lines[1:]])


def latex_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out cells that are LaTeX already, with the rules of ``booktabs``."""
    first, *lines = [f'{" & ".join(cells)} \\\\' for cells in (head, *rows)]
    columns = 'l' + 'r' * (len(head) - 1)
    body = [first, r'\midrule', *lines]
    return '\n'.join(
        [f'\\begin{{tabular}}{{{columns}}}', r'\toprule', *body, r'\bottomrule', r'\end{tabular}']
    )


MARKDOWN = Markup(escape_markdown, str, '**%s**', markdown_table)
LATEX = Markup(escape_latex, lambda text: text.replace('-', '$-$'), r'\textbf{%s}', latex_table)
