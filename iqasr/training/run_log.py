"""The log of a run: file, terminal, TensorBoard."""

import logging
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any

import torch
import yaml

from iqasr.options.file import flatten
from iqasr.options.schema import Problems
from iqasr.options.sections import Options, WandbOptions, parse
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import OptionError

logger = logging.getLogger('iqasr')

FORMAT = '%(asctime)s %(levelname)s: %(message)s'

HELD = 10_000
"""Messages kept before there is a file for them."""

LOGGERS = ('iqasr', 'basicsr')


def set_up_logging(process: Process) -> None:
    """Send the messages of iqasr and BasicSR to the terminal, from the main process only.

    They are kept, too, for `log_to_file`; the file also gets what is of level DEBUG.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.setLevel(logging.INFO)
    kept = MemoryHandler(HELD, flushLevel=logging.CRITICAL)
    for name in LOGGERS:
        target = logging.getLogger(name)
        target.handlers = [handler, kept]
        target.propagate = False
        target.setLevel(logging.DEBUG if process.is_main else logging.ERROR)
    # BasicSR would add a handler of its own at the first use of its logger.
    from basicsr.utils.logger import initialized_logger

    initialized_logger['basicsr'] = True


def log_to_file(path: Path) -> None:
    """Write the messages, those since `set_up_logging` included, to a file as well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding='utf-8')
    handler.setFormatter(logging.Formatter(FORMAT))
    for name in LOGGERS:
        target = logging.getLogger(name)
        for kept in [h for h in target.handlers if isinstance(h, MemoryHandler)]:
            kept.setTarget(handler)
            kept.close()
            target.removeHandler(kept)
        target.addHandler(handler)


class Stopwatch:
    """Splits the time of a run into waiting for data and computing."""

    def __init__(self) -> None:
        self.last = time.perf_counter()
        self.seconds = {'data': 0.0, 'compute': 0.0}
        self.laps = 0

    def mark(self, what: str) -> None:
        """Book the time since the last mark."""
        now = time.perf_counter()
        self.seconds[what] += now - self.last
        self.last = now
        self.laps += what == 'compute'

    def skip(self) -> None:
        """Leave the time since the last mark out (validation, saving)."""
        self.last = time.perf_counter()

    def take(self) -> dict[str, float]:
        """Return seconds per iteration since the last call."""
        means = {f'time_{k}': v / max(self.laps, 1) for k, v in self.seconds.items()}
        self.seconds, self.laps = {'data': 0.0, 'compute': 0.0}, 0
        return means


class Board:
    """TensorBoard's ``SummaryWriter``, whose failures, such as a full disk, end no run.

    Args:
        folder: Where events go.
        open_writer: Makes the writer.
    """

    def __init__(self, folder: Path, open_writer: Callable[[], Any]) -> None:
        self.folder, self.writer = folder, None
        self.writer = self._attempt(open_writer)

    def __getattr__(self, name: str) -> Any:
        return partial(self._call, name)

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        if self.writer is not None:
            return self._attempt(partial(getattr(self.writer, name), *arguments, **options))

    def _attempt(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except Exception as error:  # whatever it fails with, it is no reason to stop training
            logger.warning(
                '%s: TensorBoard is given up, as %s. Training goes on.', self.folder, error
            )
            self.writer = None


def open_board(folder: Path, first: int, wandb: WandbOptions | None, name: str) -> Board:
    """Open TensorBoard and, through it, Weights & Biases.

    Args:
        folder: Where events go.
        first: First iteration of this start; later events of an earlier start are dropped.
        wandb: Section ``logger.wandb``; used if it names a project.
        name: Name of the run.
    """
    if wandb is not None and wandb.project:
        start_wandb(wandb, name)
    from torch.utils.tensorboard import SummaryWriter

    return Board(folder, partial(SummaryWriter, str(folder), purge_step=first))


def start_wandb(options: WandbOptions, name: str) -> None:
    """Let Weights & Biases follow TensorBoard.

    Raises:
        OptionError: If it is not installed.
    """
    try:
        import wandb
    except ImportError as error:
        raise OptionError('logger.wandb: `pip install wandb`, or remove the project.') from error
    wandb.init(
        project=options.project,
        name=name,
        id=options.resume_id,
        resume='allow',
        sync_tensorboard=True,
    )


def describe_environment() -> str:
    """Name the versions a result depends on."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    names = ('iqasr', 'basicsr', 'torch', 'torchvision', 'pyiqa', 'numpy', 'opencv-python')
    found = []
    for name in names:
        try:
            found.append(f'{name} {version(name)}')
        except PackageNotFoundError:
            continue
    threads = torch.get_num_threads()
    return f'Python {platform.python_version()}, {", ".join(found)}; {threads} threads'


KEPT = re.compile(r'manual_seed|train\.speed|path\.(pretrain_network|param_key|strict_load)_[gd]')
"""Options that a resumed run does not follow: seed, layouts and weights are the checkpoint's."""

OF_A_START = ('num_gpu', 'path.resume_state')
"""Options that tell how a run was started, not what it is."""


def report_changes(before: str | None, options: Options) -> None:
    """Say which options differ from those a checkpoint was made with, and which of them matter.

    Args:
        before: Options in the checkpoint, as YAML.
        options: The present ones, resolved as those of the checkpoint are.
    """
    # Parsed, so that an option younger than the checkpoint has had its default.
    parsed = before and parse(yaml.safe_load(before), Problems(), Options)
    if not parsed:
        return
    old, new = flatten(parsed.as_dict()), flatten(options.as_dict())
    changed = [key for key in old | new if old.get(key) != new.get(key) and key not in OF_A_START]
    if not changed:
        return
    kept = [key for key in changed if KEPT.fullmatch(key)]
    logger.warning(
        'The options have changed since the checkpoint. The run follows the option file, its '
        'schedule as if it had held from iteration 1%s:\n%s',
        f', but for {", ".join(kept)}: kept as in the checkpoint' if kept else '',
        '\n'.join(f'  {key}: {old.get(key, "-")} -> {new.get(key, "-")}' for key in changed),
    )
