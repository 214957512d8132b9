"""Times that are compared: measured in one run, alternating, medians; a table and a JSON file.

Times are CPU time of the process, so that what else the machine does counts little; where there is
a GPU, time on the clock until its work is done.
"""

import json
import logging
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

logger = logging.getLogger(__name__)

HEADER = '| what | plain | fast | ratio | target |\n|---|---:|---:|---:|---:|\n'
MEASURED_HEADER = '| what | measured | target |\n|---|---:|---:|\n'


def alternate(
    works: dict[str, tuple[Callable[[], Any], int]], rounds: int, limit_s: float = math.inf
) -> dict[str, float]:
    """Measure several pieces of work in turn.

    Args:
        works: By name: a piece of work, and how often it is done per round.
        rounds: Number of rounds that count; one before, of single pieces, warms up.
        limit_s: After this time no further round is begun, but for the first that counts.

    Returns:
        The median time of one piece, in seconds.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    end = time.monotonic() + limit_s
    for name, (work, _) in works.items():
        start = clock()
        work()
        logger.info('%s: first time %.2f s', name, clock() - start)
    for number in range(rounds):
        if number and time.monotonic() > end:
            break
        for name in list(works)[:: 1 if number % 2 else -1]:
            work, count = works[name]
            start = clock()
            for _ in range(count):
                work()
            times[name].append((clock() - start) / count)
        logger.info('round %d of %d is done', number + 1, rounds)
    return {name: statistics.median(values) for name, values in times.items()}


def clock() -> float:
    """Seconds: CPU time of the process; with a GPU, on the clock once all its work is done."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def speed_up(what: str, plain_s: float, fast_s: float, target: float | None) -> dict[str, Any]:
    """Compare two times; the ratio says how many times faster."""
    limit = 'reported' if target is None else f'>= {target:g} x'
    return {'what': what, 'plain': plain_s, 'fast': fast_s, 'ratio': plain_s / fast_s,
            'target': limit}  # fmt: skip


def cost(what: str, plain_s: float, other_s: float, target: float | None) -> dict[str, Any]:
    """Compare two times; the ratio says how many times slower the second is."""
    limit = 'reported' if target is None else f'<= {target:g} x'
    return {'what': what, 'plain': plain_s, 'fast': other_s, 'ratio': other_s / plain_s,
            'target': limit}  # fmt: skip


def report(rows: Sequence[dict[str, Any]], out: str | None, **settings: Any) -> None:
    """Print the rows as a Markdown table, and write them as JSON where a file is named."""
    sys.stdout.write(HEADER)
    for row in rows:
        plain, fast = (f'{1e3 * row[key]:.3f} ms' for key in ('plain', 'fast'))
        ratio = f'{row["ratio"]:.2f} x'
        row['measured'] = f'{ratio} ({plain} / {fast})'
        sys.stdout.write(f'| {row["what"]} | {plain} | {fast} | {ratio} | {row["target"]} |\n')
    write_json(rows, out, **settings)


def report_measured(rows: Sequence[dict[str, Any]], out: str | None, **settings: Any) -> None:
    """Print and write rows that hold ``what``, ``measured`` as text, and ``target``."""
    sys.stdout.write(MEASURED_HEADER)
    for row in rows:
        sys.stdout.write(f'| {row["what"]} | {row["measured"]} | {row["target"]} |\n')
    write_json(rows, out, **settings)


def write_json(rows: Sequence[dict[str, Any]], out: str | None, **settings: Any) -> None:
    """Write figures, and how they were measured, where a file is named."""
    if out is not None:
        content = {'load_average': os.getloadavg(), 'settings': settings, 'rows': list(rows)}
        if torch.cuda.is_available():
            content['card'] = torch.cuda.get_device_name()
        Path(out).write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')
