"""The validations of a training run, and what is remembered of them."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from iqasr.evaluation.evaluate import Best, Result, evaluate, side_by_side
from iqasr.evaluation.guard import Guard
from iqasr.metrics import build_metrics
from iqasr.models import RestorationModel
from iqasr.options.sections import Options
from iqasr.runtime.distributed import Process
from iqasr.training.builders import build_dataset
from iqasr.training.run_log import Board

logger = logging.getLogger('iqasr')

BOARD_IMAGES = 4
"""Validation images shown in TensorBoard."""


class Validator:
    """Validates the network of a run, and keeps the best values and the guard's history.

    Args:
        options: The checked option file.
        process: This process.
        root: Folder of the run.
        interrupted: Asked between images whether to give up.
    """

    def __init__(
        self,
        options: Options,
        process: Process,
        root: Path,
        interrupted: Callable[[], bool],
    ) -> None:
        self.options, self.process, self.root = options, process, root
        self.interrupted = interrupted
        val = options.val
        self.metrics, _ = build_metrics(
            val.metrics, val.panel, panel_crop_border=val.panel_crop_border, device=process.device
        )
        self.sets = {
            section.get('name', key): build_dataset(section, options, 'val')
            for key, section in options.datasets_of('val').items()
        }
        self.best = Best()
        self.guard = Guard(options.val.guard, self.metrics) if options.val.guard else None

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
        """Recall the validations of the run, up to an iteration."""
        self.best = Best.read(self.root / 'best.json', until)
        if self.guard is not None:
            self.guard.read(self.root / 'guard.json', until)

    def due(self, iteration: int, total: int) -> bool:
        """Tell whether to validate: at multiples of ``val_freq`` and at the end, once each.

        A guard asks for the start of the run, too.
        """
        if not self.sets:
            return False
        if self.guard is not None and not self.guard.start:
            return True
        last = self.best.iteration if self.guard is None else self.guard.iteration
        scheduled = iteration == total or iteration % (self.options.val.val_freq or total) == 0
        return scheduled and min(last, self.best.iteration) < iteration

    def validate(self, model: RestorationModel, iteration: int, board: Board) -> None:
        """Measure the network on every validation set."""
        results = []
        for name in self.sets:
            result = self.measure(name, model, iteration, board)
            if result is None:
                return
            logger.info(self.best.update(result, self.metrics, iteration))
            means = {f'metrics/{name}/{metric}': v for metric, v in result.means().items()}
            board.scalars(means, iteration)
            results.append(result)
        self.best.iteration = iteration
        if self.process.is_main:
            self.best.write(self.root / 'best.json')
        if self.guard is not None:
            self.watch(self.guard, results, iteration, board)

    def measure(
        self, name: str, model: RestorationModel, iteration: int, board: Board
    ) -> Result | None:
        """Measure the network on one set; None if interrupted."""
        shown: list[str] = []

        def show(key: str, *images: np.ndarray) -> None:
            if len(shown) < BOARD_IMAGES:
                shown.append(key)
                board.image(f'{name}/{key}', side_by_side(*images), iteration)

        def save_to(key: str) -> Path:
            return self.root / 'visualization' / key / f'{key}_{iteration}.png'

        return evaluate(
            model.test,
            self.sets[name],
            self.metrics,
            name=name,
            process=self.process,
            base=model.base_output,
            save_to=save_to if self.options.val.save_img else None,
            show=show,
            interrupted=self.interrupted,
        )

    def watch(self, guard: Guard, results: list[Result], iteration: int, board: Board) -> None:
        """Let the guard look at all images of all sets."""
        rows: list[dict[str, Any]] = [
            row | {'name': f'{result.dataset}/{row["name"]}'}
            for result in results
            for row in result.rows
        ]
        text = guard.update(rows, iteration)
        record = guard.history[-1]
        logger.log(logging.WARNING if record['alarm'] else logging.INFO, text)
        values = {'guard/fallen': len(record['fallen']), 'guard/alarms': guard.alarms}
        if record['index'] is not None:
            values['guard/index'] = record['index']
        board.scalars(values, iteration)
        if self.process.is_main:
            guard.write(self.root / 'guard.json')
