"""The validations of a run: the best value of each metric, and the guard's judgement."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from iqasr.evaluation.evaluate import NO_VALUE, Result
from iqasr.evaluation.guard import Guard
from iqasr.metrics import Metric
from iqasr.options.sections import ValOptions
from iqasr.runtime.atomic_files import read_record, write_json
from iqasr.runtime.distributed import Process

logger = logging.getLogger('iqasr')


class ValidationHistory:
    """The validations of a run so far, kept in files of its folder.

    Args:
        options: Section ``val``.
        metrics: The metrics.
        datasets: Names of the validation sets; a validation is complete when all were measured.
        root: Folder of the run, for ``best.json`` and ``guard.json``.
        process: This process; the main one writes.
    """

    def __init__(
        self,
        options: ValOptions,
        metrics: Sequence[Metric],
        datasets: Sequence[str],
        root: Path,
        process: Process,
    ) -> None:
        self.metrics, self.datasets, self.root, self.process = metrics, datasets, root, process
        self.val_freq = options.val_freq
        self.iteration = 0
        """Of the last complete validation."""
        self.records: dict[str, list[dict[str, Any]]] = {}
        """Every ``value`` that was the best, and its ``iteration``, by ``<set>/<metric>``."""
        self.guard = Guard(options.guard, metrics) if options.guard else None
        self.results: dict[str, Result] = {}
        """Of the validation under way, by data set."""

    @property
    def stopped(self) -> bool:
        """Whether the guard has ended the run."""
        return self.guard is not None and self.guard.stopped

    @property
    def best_iteration(self) -> int | None:
        """Iteration with the best held-out score after the start; None if there is none."""
        best = None if self.guard is None else self.guard.best
        return best and best['iteration']

    def read(self, until: int) -> None:
        """Read what was found up to an iteration."""
        self.results, self.iteration, self.records = {}, 0, {}
        if (self.root / 'best.json').is_file():
            read_record(self.root / 'best.json', lambda content: self.take(content, until))
        if self.guard is not None:
            self.guard.read(self.root / 'guard.json', until)

    def take(self, content: Mapping[str, Any], until: int) -> None:
        """Take in the content of ``best.json``."""
        self.iteration = min(content['iteration'], until)
        earlier = content.get('earlier', {})  # none in files of 0.3
        for key, best in content['records'].items():
            records = [r for r in (*earlier.get(key, ()), best) if r['iteration'] <= until]
            self.records |= {key: records} if records else {}

    def is_due(self, iteration: int, total: int) -> bool:
        """Tell whether to validate: at multiples of ``val_freq`` and at the end, once each.

        A guard asks for the start of the run, too.
        """
        if not self.datasets:
            return False
        if self.guard is not None and not self.guard.start:
            return True
        last = self.iteration if self.guard is None else self.guard.iteration
        scheduled = iteration == total or iteration % (self.val_freq or total) == 0
        return scheduled and min(last, self.iteration) < iteration

    def add(self, result: Result, iteration: int, tb_logger: Any) -> None:
        """Take in the result of one validation set; after the last one, ask the guard."""
        logger.info(update_best(self.records, result, self.metrics, iteration))
        means = {f'metrics/{result.dataset}/{name}': v for name, v in result.means().items()}
        log_scalars(tb_logger, means, iteration)
        self.results[result.dataset] = result
        if set(self.results) < set(self.datasets):
            return
        self.iteration = iteration
        if self.process.is_main:
            best = {key: records[-1] for key, records in self.records.items()}
            earlier = {key: records[:-1] for key, records in self.records.items()}
            content = {'iteration': iteration, 'records': best, 'earlier': earlier}
            write_json(content, self.root / 'best.json')
        if self.guard is not None:
            self.watch(self.guard, iteration, tb_logger)
        self.results = {}

    def watch(self, guard: Guard, iteration: int, tb_logger: Any) -> None:
        """Let the guard look at all images of all sets."""
        rows: list[dict[str, Any]] = [
            row | {'name': f'{result.dataset}/{row["name"]}'}
            for result in self.results.values()
            for row in result.rows
        ]
        text = guard.update(rows, iteration)
        record = guard.history[-1]
        logger.log(logging.WARNING if record['alarm'] else logging.INFO, text)
        values = {'guard/fallen': len(record['fallen']), 'guard/alarms': guard.alarms}
        if record['index'] is not None:
            values['guard/index'] = record['index']
        log_scalars(tb_logger, values, iteration)
        if self.process.is_main:
            guard.write(self.root / 'guard.json')


def log_scalars(board: Any, values: Mapping[str, float], iteration: int) -> None:
    """Write numbers to TensorBoard's ``SummaryWriter``; to None, nothing is written."""
    for name, value in values.items() if board else ():
        board.add_scalar(name, value, iteration)


def update_best(
    records: dict[str, list[dict[str, Any]]],
    result: Result,
    metrics: Sequence[Metric],
    iteration: int,
) -> str:
    """Take a validation into the `ValidationHistory.records`.

    Returns:
        A line for the log; metrics without a value, such as one of a missing ground truth, are
        left out.
    """
    texts, means = [], result.means()
    for metric in metrics:
        value, key = means[metric.name], f'{result.dataset}/{metric.name}'
        if np.isnan(value):
            continue
        best = records[key][-1] if key in records else None
        record = np.isfinite(value) and metric.lower_better is not None
        if record and (best is None or metric.is_better(value, best['value'])):
            best = {'value': value, 'iteration': iteration}
            records.setdefault(key, []).append(best)
        best_text = f' (best {best["value"]:.4f} @ {best["iteration"]})' if best else ''
        texts.append(f'{metric.name}{metric.arrow} {value:.4f}{best_text}')
    return f'{result.dataset} @ {iteration}: ' + (', '.join(texts) or NO_VALUE)
