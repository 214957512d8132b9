"""One training run: the loop, and everything that keeps it alive for a week."""

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any

from basicsr.utils import check_resume
from torch.utils.data import DataLoader
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from iqasr.compat import tensors_only
from iqasr.data.build import build_dataset
from iqasr.data.loader import loader_options, training_stream
from iqasr.evaluation.history import ValidationHistory, log_scalars
from iqasr.models import RestorationModel
from iqasr.options.sections import Options
from iqasr.registry import MODEL_REGISTRY, lookup
from iqasr.runtime.checkpoint_folder import CheckpointFolder
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import CheckpointError, InputError
from iqasr.runtime.weights import listing_of, load_file
from iqasr.training.opt import choose_seed, opt_of
from iqasr.training.run_log import Stopwatch, open_board, report_changes
from iqasr.training.stop_signal import StopSignal

logger = logging.getLogger('iqasr')

MOST_ROLLBACKS = 3
"""Returns to the same checkpoint before a run that keeps producing non-finite losses stops."""


class TrainingError(RuntimeError):
    """Training cannot go on."""


class TrainingRun:
    """Builds what an option file asks for, and trains it to the last iteration.

    The model is driven as BasicSR's trainer drives it, so that any registered ``BaseModel`` will
    do. `RestorationModel` gives more: exact resume, rollback, the guard.

    Args:
        options: The checked option file.
        process: This process.
        root: Folder of the run.
        resume_state: Training state to continue from.
        board: Folder for TensorBoard; None for none.

    Raises:
        CheckpointError: If the state, or a network saved with it, does not fit the option file.
    """

    def __init__(
        self,
        options: Options,
        process: Process,
        root: Path,
        resume_state: Path | None = None,
        board: Path | None = None,
    ) -> None:
        self.options, self.process = options, process
        self.checkpoints = CheckpointFolder(root, options.logger.keep_checkpoints)
        state = load_file(resume_state) if resume_state else {}
        self.seed = state.get('seed', choose_seed(options, process))
        self.iteration, self.total = state.get('iter', 0), options.train.total_iter
        self.loading = loader_options(options.train_set)
        self.samples = self.loading.batch_size_per_gpu * options.train.accumulate
        self.samples *= process.world_size
        """Samples of the stream that one iteration takes, over all processes."""
        self.position = state.get('position', self.iteration * self.samples)
        self.rollbacks = 0
        self.stop = StopSignal(process)
        self.last_saved = -1
        model_class = lookup(MODEL_REGISTRY, options.model_type)
        self.is_ours = issubclass(model_class, RestorationModel)
        if state and self.is_ours:
            require_own_state(state, resume_state)
        opt = opt_of(
            options, process, root, seed=self.seed, is_train=True, resume_state=resume_state
        )
        if state and not self.is_ours:
            check_resume(opt, self.iteration)  # has the constructor load the networks
        self.train_set = build_dataset(opt['datasets']['train'], scale=options.scale, phase='train')
        self.val_loaders = build_loaders(opt, options.scale, 'val')
        with tensors_only():  # a model of others may load weights itself
            self.model = model_class(opt)
        self.history: ValidationHistory | None = self.model.history if self.is_ours else None
        if self.is_ours:
            self.model.interrupted = self.stop.is_set
            options.network_g = self.model.options.network_g  # recognised from its weights
        if state:
            self.resume(state)
        self.stopwatch = Stopwatch()
        self.board_folder = board if process.is_main else None
        self.board: Any = None
        """TensorBoard's ``SummaryWriter``, while it trains."""

    def resume(self, state: Mapping[str, Any]) -> None:
        """Continue from a training state.

        Raises:
            CheckpointError: If it is of other networks than the option file asks for.
        """
        try:
            self.model.resume_training(state)
        except InputError:
            raise
        except (AssertionError, RuntimeError, KeyError, ValueError) as error:
            raise CheckpointError(
                f'The checkpoint at iteration {self.iteration} does not fit this option file '
                f'({str(error)[:300]}). Train under another name, or restore the options it was '
                'made with.'
            ) from error
        if self.is_ours:
            seed = self.seed if self.options.manual_seed is None else self.options.manual_seed
            asked = self.model.options.model_copy(update={'manual_seed': seed})
            report_changes(state.get('options'), asked)

    def stream(self) -> AbstractContextManager[Iterator[list[dict[str, Any]]]]:
        """Open the stream of batches at the present position."""
        return training_stream(
            self.train_set,
            self.loading,
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
        logger.info(
            '%d images, %d samples an iteration, %d iterations from %d on, seed %d.',
            len(self.train_set),
            self.samples,
            self.total,
            self.iteration,
            self.seed,
        )
        if self.board_folder is not None:
            wandb, name = self.options.logger.wandb, self.options.name
            self.board = open_board(self.board_folder, self.iteration + 1, wandb, name)
        with self.stop.listening():
            try:
                self.begin()
                self.loop()
            finally:
                if self.board is not None:
                    self.board.close()
        if self.is_stopped_by_guard():
            logger.warning('%s', self.history.guard.explain_stop())
        elif self.stop.is_set() and (self.iteration < self.total or self.lacks_validation()):
            return 128 + self.stop.number
        self.model.save(-1, -1)  # BasicSR's way to say `latest`
        return 0

    def begin(self) -> None:
        """Make sure of a checkpoint to return to, and of no later ones of another course."""
        self.checkpoints.make_folders()  # BasicSR's models expect them
        # Asked before all processes meet, so that none sees what the main one saves afterwards.
        found = self.iteration in self.checkpoints.iterations()
        self.checkpoints.set_aside_after(self.iteration, self.process)
        if self.process.is_main and self.history is not None and self.history.guard is not None:
            self.checkpoints.publish_best(self.history.best_iteration)
        if found:
            self.last_saved = self.iteration
        elif self.is_ours:
            self.save()  # proof, too, that the disk can be written
        self.validate_when_due()  # at the start for the guard, or if killed before it

    def loop(self) -> None:
        """Iterate until the end or a signal."""
        hidden = None if self.process.is_main else True  # None: shown on a terminal only
        bar = tqdm(total=self.total, initial=self.iteration, unit='it', disable=hidden)
        loggers = [logging.getLogger(name) for name in ('iqasr', 'basicsr')]
        redirected = nullcontext() if bar.disable else logging_redirect_tqdm(loggers)
        with redirected, bar, self.stream() as stream:
            self.stopwatch.skip()
            while not (self.is_over() or self.stop.agreed()):
                batches = self.read(stream)
                self.stopwatch.mark('data')
                self.iterate(batches)
                self.stopwatch.mark('compute')
                bar.update(self.iteration - bar.n)
                self.after_iteration(bar)
            self.save_progress()
            logger.info('Stopped at iteration %d of %d.', self.iteration, self.total)

    def read(self, stream: Iterator[list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Take the batches of the next iteration; if a process has none, all save and give up.

        Raises:
            InputError: If the data of this process, or of another one, cannot be read.
        """
        try:
            with self.process.failing_together('read its data'):
                return next(stream)
        except Exception:  # also of a worker that was killed
            self.save_progress()
            raise

    def iterate(self, batches: Sequence[dict[str, Any]]) -> None:
        """Carry out one iteration, as BasicSR's trainer does."""
        self.iteration += 1
        self.model.update_learning_rate(self.iteration, warmup_iter=self.options.train.warmup_iter)
        for data in batches:
            self.model.feed_data(data)
        self.model.optimize_parameters(self.iteration)
        self.position += self.samples

    def is_over(self) -> bool:
        """Tell whether the last iteration is done, or the guard has ended the run."""
        return self.iteration >= self.total or self.is_stopped_by_guard()

    def is_stopped_by_guard(self) -> bool:
        """Tell whether the guard has ended the run."""
        return self.history is not None and self.history.stopped

    def after_iteration(self, bar: tqdm) -> None:
        """Report, save and validate when it is time."""
        log, last = self.options.logger, self.iteration == self.total
        saving = last or self.iteration % log.save_checkpoint_freq == 0
        reporting = last or self.iteration % log.print_freq == 0
        if (saving or reporting or self.is_due()) and self.is_diverged():
            self.roll_back()
            return
        if reporting:
            self.report(bar)
        if saving:
            self.save()
        self.validate_when_due()
        self.stopwatch.skip()

    def is_diverged(self) -> bool:
        """Tell whether a loss or a weight has become non-finite in any process."""
        if self.is_ours:
            return self.process.any(not self.model.is_finite())
        values = self.model.get_current_log().values()
        return self.process.any(not all(math.isfinite(value) for value in values))

    def name_non_finite(self) -> str:
        """Name what has become non-finite in any process; all processes call it."""
        if self.is_ours:
            names = self.model.non_finite()
        else:
            log = self.model.get_current_log()
            names = [name for name, value in log.items() if not math.isfinite(value)]
        return listing_of(list(dict.fromkeys(chain(*self.process.gather(names))))) or 'a loss'

    def roll_back(self) -> None:
        """Return to the last good checkpoint; the stream goes on, so that other data follow.

        Raises:
            TrainingError: If this keeps happening, or the model is not ours to roll back.
        """
        found, self.rollbacks = self.iteration, self.rollbacks + 1
        what = f'Not finite ({self.name_non_finite()}) at or before iteration {found}'
        advice = 'Lower the learning rate or the weight of the term, or set train.clip_grad_norm.'
        if not self.is_ours:
            raise TrainingError(f'{what}. {advice}')
        networks, state = self.checkpoints.load(self.last_saved)
        if self.rollbacks > MOST_ROLLBACKS:
            raise TrainingError(
                f'{what}; {self.rollbacks} times since the checkpoint at iteration '
                f'{state["iter"]}. {advice}'
            )
        self.model.load(networks, state)
        self.iteration = state['iter']
        logger.warning(
            '%s: back to the checkpoint at iteration %d; the data between are skipped.',
            what,
            self.iteration,
        )

    def report(self, bar: tqdm) -> None:
        """Log the averages since the last report."""
        values = self.model.get_current_log() | self.stopwatch.take()
        values['lr'] = self.model.get_current_learning_rate()[0]
        remaining = (self.total - self.iteration) * (values['time_data'] + values['time_compute'])
        numbers = ', '.join(
            f'{name} {value:.3e}' for name, value in values.items() if not name.startswith('time_')
        )
        logger.info(
            'iteration %d/%d (%s left; data %.3f s, compute %.3f s): %s',
            self.iteration,
            self.total,
            timedelta(seconds=round(remaining)),
            values['time_data'],
            values['time_compute'],
            numbers,
        )
        bar.set_postfix(
            data=f'{values["time_data"]:.3f}s', compute=f'{values["time_compute"]:.3f}s'
        )
        # Losses go under one heading, as BasicSR has it.
        shown = {f'losses/{k}' if k.startswith('l_') else k: v for k, v in values.items()}
        log_scalars(self.board, shown, self.iteration)

    def is_due(self) -> bool:
        """Tell whether to validate."""
        if self.history is not None:
            return self.history.is_due(self.iteration, self.total)
        freq = self.options.val.val_freq or self.total
        scheduled = self.iteration == self.total or self.iteration % freq == 0
        return bool(self.val_loaders) and scheduled and self.iteration > 0

    def lacks_validation(self) -> bool:
        """Tell whether a validation that was due has been given up."""
        return self.history is not None and self.is_due()

    def validate_when_due(self) -> None:
        """Validate on every set when it is time."""
        if not self.is_due():
            return
        for loader in self.val_loaders:
            try:
                with self.process.failing_together('validate'):
                    self.model.validation(
                        loader, self.iteration, self.board, self.options.val.save_img
                    )
            except Exception:
                self.save_progress()
                raise
            if self.stop.agreed():
                return

    def save_progress(self) -> None:
        """Save what has been trained since the last checkpoint, unless it has diverged."""
        if self.last_saved != self.iteration and not self.is_diverged():
            self.save()

    def save(self) -> None:
        """Write a checkpoint from which the run continues."""
        started = time.perf_counter()
        self.model.save(self.position // len(self.train_set), self.iteration)
        seconds = time.perf_counter() - started
        logger.info('Checkpoint at iteration %d saved in %.1f s.', self.iteration, seconds)
        self.process.barrier()
        self.last_saved = self.iteration
        self.rollbacks = 0


def require_own_state(state: Mapping[str, Any], path: Path | None) -> None:
    """Refuse a training state of another program.

    Raises:
        CheckpointError: If it is one.
    """
    if {'iter', 'position', 'networks', 'optimisation', 'pretrained'} <= state.keys():
        return
    is_basicsr = {'iter', 'optimizers', 'schedulers'} <= state.keys()
    found = 'is one of BasicSR' if is_basicsr else f'holds {[*state][:5]}'
    raise CheckpointError(
        f'path.resume_state: {path} is no training state of iqasr; it {found}. To start from '
        'networks of another program, give path.pretrain_network_g (and _d) instead.'
    )


def build_loaders(opt: Mapping[str, Any], scale: int | None, phase: str) -> list[DataLoader]:
    """Build the data sets of validation or test, each with its loader."""
    sections = [s for key, s in opt['datasets'].items() if key.split('_')[0] == phase]
    sets = [build_dataset(section, scale=scale, phase=phase) for section in sections]
    return [DataLoader(dataset, batch_size=1) for dataset in sets]
