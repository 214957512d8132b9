"""Text and tables in Markdown."""

import re
from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table whose cells are Markdown already.

    Example:
        >>> print(markdown_table(['run', 'PSNR'], [['a', '30.1']]))
        | run | PSNR |
        |---|---|
        | a | 30.1 |
    """
    first, *others = [f'| {" | ".join(cells)} |' for cells in (head, *rows)]
    return '\n'.join([first, '|---' * len(head) + '|', *others])


def escape_markdown(text: str) -> str:
    r"""Escape text for Markdown.

    Example:
        >>> escape_markdown('a_b|*c*')
        'a_b\\|\\*c\\*'
    """
    special = r'[\\`*|<>\[\]]|(?<![^\W_])_|_(?![^\W_])'  # inside a word, _ is nothing special
    return re.sub(special, lambda match: '\\' + match[0], ' '.join(text.split()))
