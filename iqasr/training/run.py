"""One training run: the loop, and everything that keeps it alive for a week."""

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from iqasr.data.loader import training_stream
from iqasr.options.sections import Options
from iqasr.runtime.checkpoint_folder import CheckpointFolder
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import CheckpointError
from iqasr.training.builders import build_dataset, build_model, choose_seed, loader_options
from iqasr.training.run_log import Averages, Board, Stopwatch, report_changes
from iqasr.training.stop_signal import StopSignal
from iqasr.training.validator import Validator

logger = logging.getLogger('iqasr')

ROLLBACKS = 3
"""Returns to the same checkpoint before a run that keeps producing non-finite losses stops."""


class TrainingError(RuntimeError):
    """Training cannot go on."""


class TrainingRun:
    """Builds what an option file asks for, and trains it to the last iteration.

    Args:
        options: The checked option file.
        process: This process.
        root: Folder of the run.
        checkpoint: Networks and training state to continue from.
        board: Folder for TensorBoard; None for none.
    """

    def __init__(
        self,
        options: Options,
        process: Process,
        root: Path,
        checkpoint: tuple[dict[str, Any], dict[str, Any]] | None = None,
        board: Path | None = None,
    ) -> None:
        self.options = options
        self.process = process
        self.root = root
        self.checkpoints = CheckpointFolder(root, options.logger.keep_checkpoints)
        state = checkpoint[1] if checkpoint else {}
        self.seed = state.get('seed', choose_seed(options, process))
        self.iteration = state.get('iter', 0)
        self.position = state.get('position', 0)
        self.rollbacks = 0
        self.stop = StopSignal(process)
        self.last_saved = -1
        self.train_section = next(iter(options.datasets_of('train').values()))
        self.train_set = build_dataset(self.train_section, options, 'train')
        self.validator = Validator(options, process, root, self.stop.noted)
        self.model = build_model(options, process, self.seed, state.get('forms'))
        if checkpoint:
            self.restore(*checkpoint)
            report_changes(state['options'], options.as_yaml())
        self.averages, self.stopwatch = Averages(), Stopwatch()
        self.board_folder = board if process.is_main else None

    def restore(self, networks: dict[str, Any], state: dict[str, Any]) -> None:
        """Load a checkpoint into the model.

        Raises:
            CheckpointError: If it is of other networks than the option file asks for.
        """
        try:
            self.model.load(networks, state)
        except (RuntimeError, KeyError, ValueError) as error:
            raise CheckpointError(
                f'The checkpoint at iteration {state["iter"]} in {self.root} does not fit this '
                f'option file ({str(error)[:300]}). Train under another name, or restore the '
                'options it was made with.'
            ) from error

    def samples_per_iteration(self) -> int:
        """Samples of the stream that one iteration takes, over all processes."""
        batch = loader_options(self.train_section).batch_size_per_gpu
        return batch * self.options.train.accumulate * self.process.world_size

    def stream(self) -> AbstractContextManager[Iterator[list[dict[str, Any]]]]:
        """Open the stream of batches at the present position."""
        return training_stream(
            self.train_set,
            loader_options(self.train_section),
            seed=self.seed,
            accumulate=self.options.train.accumulate,
            start=self.position,
            rank=self.process.rank,
            world_size=self.process.world_size,
        )

    def train(self) -> int:
        """Train to the last iteration.

        Returns:
            Exit code: 0 when complete or ended by the guard, 128 + signal number when stopped by
            SIGTERM or SIGINT.
        """
        total = self.options.train.total_iter
        logger.info(
            '%d images, %d samples an iteration, %d iterations from %d on, seed %d.',
            len(self.train_set),
            self.samples_per_iteration(),
            total,
            self.iteration,
            self.seed,
        )
        wandb, name = self.options.logger.wandb, self.options.name
        self.board = Board(self.board_folder, self.iteration + 1, wandb, name)
        with self.stop.listening():
            try:
                self.begin(total)
                self.loop(total)
            finally:
                self.board.close()
        if self.validator.stopped:
            logger.warning('%s', self.validator.guard.farewell())
        elif self.iteration < total:
            return 128 + self.stop.number
        self.save_latest()
        return 0

    def begin(self, total: int) -> None:
        """Make sure of a checkpoint to return to, and of no later ones of another course."""
        self.checkpoints.set_aside_after(self.iteration, self.process)
        self.recall()
        if self.iteration in self.checkpoints.iterations():
            self.last_saved = self.iteration
        else:
            self.save()  # proof, too, that the disk can be written
        self.validate_when_due(total)  # at the start for the guard, or if killed before it

    def recall(self) -> None:
        """Return to what the validations up to here have found."""
        self.validator.read(until=self.iteration)
        if self.process.is_main and self.validator.guard is not None:
            self.checkpoints.publish_best(self.validator.best_iteration)

    def loop(self, total: int) -> None:
        """Iterate until the end or a signal."""
        hidden = None if self.process.is_main else True  # None: shown on a terminal only
        bar = tqdm(total=total, initial=self.iteration, unit='it', disable=hidden)
        loggers = [logging.getLogger(name) for name in ('iqasr', 'basicsr')]
        redirected = nullcontext() if bar.disable else logging_redirect_tqdm(loggers)
        with redirected, bar, self.stream() as stream:
            self.stopwatch.skip()
            while not (self.over(total) or self.stop.agreed()):
                batches = next(stream)
                self.stopwatch.mark('data')
                self.iteration += 1
                values = self.model.optimize_parameters(batches, self.iteration, self.position)
                self.position += self.samples_per_iteration()
                self.averages.add(values)
                self.stopwatch.mark('compute')
                bar.update(self.iteration - bar.n)
                self.after_iteration(total, bar)
            if self.last_saved != self.iteration and not self.sick():
                self.save()
            logger.info('Stopped at iteration %d of %d.', self.iteration, total)

    def over(self, total: int) -> bool:
        """Tell whether the last iteration is done, or the guard has ended the run."""
        return self.iteration >= total or self.validator.stopped

    def after_iteration(self, total: int, bar: tqdm) -> None:
        """Report, save and validate when it is time."""
        log, last = self.options.logger, self.iteration == total
        saving = last or self.iteration % log.save_checkpoint_freq == 0
        reporting = last or self.iteration % log.print_freq == 0
        looking = saving or reporting or self.validator.due(self.iteration, total)
        if looking and self.sick():
            self.roll_back()
            return
        if reporting:
            self.report(total, bar)
        if saving:
            self.save()
        self.validate_when_due(total)
        self.stopwatch.skip()

    def sick(self) -> bool:
        """Tell whether a loss or a weight has become non-finite in any process."""
        return self.process.any(not self.model.healthy())

    def roll_back(self) -> None:
        """Return to the last good checkpoint; the stream goes on, so that other data follow.

        Raises:
            TrainingError: If this keeps happening.
        """
        found, self.rollbacks = self.iteration, self.rollbacks + 1
        networks, state = self.checkpoints.load(self.last_saved)
        if self.rollbacks > ROLLBACKS:
            raise TrainingError(
                f'A loss was not finite at or before iteration {found}, {self.rollbacks} times '
                f'since the checkpoint at iteration {state["iter"]}. Lower the learning rate, set '
                'train.clip_grad_norm, or look at the data.'
            )
        self.restore(networks, state)
        self.iteration = state['iter']
        self.recall()
        self.averages.take(self.process)
        logger.warning(
            'A loss was not finite at or before iteration %d: back to the checkpoint at iteration '
            '%d; the data between are skipped.',
            found,
            self.iteration,
        )

    def report(self, total: int, bar: tqdm) -> None:
        """Log the averages since the last report."""
        values = self.averages.take(self.process) | self.stopwatch.take()
        values['lr'] = self.model.learning_rate()
        remaining = (total - self.iteration) * (values['time_data'] + values['time_compute'])
        numbers = ', '.join(
            f'{name} {value:.3e}' for name, value in values.items() if not name.startswith('time_')
        )
        logger.info(
            'iteration %d/%d (%s left; data %.3f s, compute %.3f s): %s',
            self.iteration,
            total,
            timedelta(seconds=round(remaining)),
            values['time_data'],
            values['time_compute'],
            numbers,
        )
        bar.set_postfix(
            data=f'{values["time_data"]:.3f}s', compute=f'{values["time_compute"]:.3f}s'
        )
        self.board.scalars(values, self.iteration)

    def validate_when_due(self, total: int) -> None:
        """Validate when it is time, and keep the weights of a new best held-out score."""
        if not self.validator.due(self.iteration, total):
            return
        self.validator.validate(self.model, self.iteration, self.board)
        best = self.validator.best_iteration
        if self.process.is_main and best == self.iteration:
            if self.last_saved != self.iteration:
                self.save_generator()
            self.checkpoints.publish_best(best)

    def save_generator(self) -> None:
        """Write the generator of this iteration, without a state to continue from."""
        files = self.model.network_files()
        self.checkpoints.save_networks(self.iteration, {'net_g': files['net_g']})
        self.save_adapters()

    def save_adapters(self) -> None:
        """Write the adapters of this iteration, if there are any."""
        name = f'lora_g_{self.iteration}.safetensors'
        self.model.save_adapters(self.checkpoints.models / name)

    def save(self) -> None:
        """Write a checkpoint from which the run continues exactly."""
        state = {
            'iter': self.iteration,
            'position': self.position,
            'seed': self.seed,
            'options': self.options.as_yaml(),
            'networks': list(self.model.networks()),
            **self.model.training_state(),
        }
        if self.process.is_main:
            started = time.perf_counter()
            self.checkpoints.save(self.iteration, self.model.network_files(), state)
            self.save_adapters()
            seconds = time.perf_counter() - started
            logger.info('Checkpoint at iteration %d saved in %.1f s.', self.iteration, seconds)
        self.process.barrier()
        self.last_saved = self.iteration
        self.rollbacks = 0

    def save_latest(self) -> None:
        """Write the finished networks under the name BasicSR gives them."""
        if self.process.is_main:
            self.checkpoints.save_networks('latest', self.model.network_files())
