"""Work that goes on beside other work, its results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

T = TypeVar('T')
R = TypeVar('R')


def ahead(
    pool: Executor, function: Callable[[T], R], items: Iterable[T], count: int
) -> Iterator[R]:
    """Call a function for every item in a pool, a few items ahead of what is asked for.

    Args:
        pool: Does the work.
        function: What is called.
        items: Taken one by one, when there is room.
        count: At most so many results are under way or waiting, so that memory stays bounded; >= 1.

    Yields:
        The results, in the order of the items.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> with ThreadPoolExecutor(2) as pool:
        ...     list(ahead(pool, abs, [-3, 1, -2], 2))
        [3, 1, 2]
    """
    waiting: deque[Future[R]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) == count:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
