"""Tables in Markdown."""

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
