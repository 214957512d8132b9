"""Inspecting images, several at a time."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

from iqasr.data.files.readers import Reader

_BAR_AFTER_S = 2.0
_MOST_BATCHES = 256
"""Into which items are divided: one task each would cost more than many a check."""

_T = TypeVar('_T')


def in_parallel(
    check: Callable[[_T], Iterable[str] | None],
    items: Iterable[_T],
    *,
    label: str = 'checking',
    workers: int | None = None,
) -> list[str]:
    """Check several items at a time.

    The first process shows a bar, if there is a terminal and it takes long.

    Args:
        check: Returns the problems of an item, if any; a `ValueError` is one, too.
        items: The items.
        label: What the bar says.
        workers: Number of threads; default the choice of Python.

    Returns:
        All problems, in the order of the items.
    """

    def run(batch: Sequence[_T]) -> list[str]:
        problems: list[str] = []
        for item in batch:
            try:
                problems += check(item) or ()
            except ValueError as error:
                problems.append(str(error))
        return problems

    items = list(items)
    size = len(items) // _MOST_BATCHES + 1
    batches = [items[first : first + size] for first in range(0, len(items), size)]
    hidden = None if os.environ.get('RANK', '0') == '0' else True
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(run, batches)
        shown = tqdm(found, label, len(batches), disable=hidden, delay=_BAR_AFTER_S)
        return [problem for problems in shown for problem in problems]


def inspect_each(
    reader: Reader, files: Iterable[str], problems: list[str], *, decode: bool = False
) -> dict[str, tuple[int, int]]:
    """Find height and width of images by file; of those that are refused, add the problems."""
    sizes = {}
    for file in files:
        try:
            sizes[file] = reader.inspect(file, decode=decode)
        except ValueError as error:
            problems.append(str(error))
    return sizes


def in_px(size: Sequence[int]) -> str:
    """Write height and width as width x height."""
    return f'{size[1]} x {size[0]} px'
