"""Functions in processes of their own, which start at once: all is imported already."""

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch


def start(
    function: Callable[..., Any],
    *arguments: Any,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> BaseProcess:
    """Start a function of a module that can be imported.

    Args:
        function: The function; what it returns is the exit code.
        arguments: Its arguments.
        log: File that receives what it says.
        environment: Variables to set.
    """
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['__main__', 'iqasr.report.commands'])
    given = {'CUDA_VISIBLE_DEVICES': ''} | dict(environment or {})
    process = context.Process(target=call, args=(function, arguments, log, given))
    process.start()
    return process


def call(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    log: Path,
    environment: Mapping[str, str],
) -> None:
    """Call a function in the process made for it."""
    with log.open('w', encoding='utf-8') as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    os.environ.update(environment)
    torch.set_num_threads(1)
    multiprocessing.set_start_method(None, force=True)  # as in a process that a shell starts
    sys.exit(function(*arguments))


def run(function: Callable[..., Any], *arguments: Any, log: Path) -> str:
    """Call a function in a process of its own; returns what it said. It has to end well."""
    process = start(function, *arguments, log=log)
    process.join()
    said = log.read_text(encoding='utf-8')
    assert process.exitcode == 0, said
    return said


def run_together(
    function: Callable[..., Any], *arguments: Any, folder: Path, count: int = 2
) -> None:
    """Call a function in several processes that may join, as ``torchrun`` starts them."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    place = {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port), 'WORLD_SIZE': str(count)}
    logs = [folder / f'process{rank}.log' for rank in range(count)]
    processes = [
        start(
            function,
            *arguments,
            log=log,
            environment=place | {'RANK': str(rank), 'LOCAL_RANK': str(rank)},
        )
        for rank, log in enumerate(logs)
    ]
    for process, log in zip(processes, logs, strict=True):
        process.join()
        assert process.exitcode == 0, log.read_text(encoding='utf-8')


def run_stock_pipeline(phase: str, option_file: str, root: str) -> None:
    """Train or test with BasicSR's own pipeline."""
    import basicsr.test
    import basicsr.train

    sys.argv[1:] = ['-opt', option_file]
    pipeline = {'train': basicsr.train.train_pipeline, 'test': basicsr.test.test_pipeline}[phase]
    pipeline(root)


def find_tiny_weights(url: str, sha256: str) -> None:
    """Find weights that a server holds, and say where they are."""
    from iqasr.pretrained import catalogue, find_weights
    from iqasr.pretrained.entry import Entry, url_source

    source = url_source(url, {'tiny.pth': sha256})
    catalogue.CATALOGUE['tiny'] = Entry('tiny', 'tiny', 'network', 'CC0-1.0', (source,))
    sys.stdout.write(f'{find_weights("tiny")}\n')
    sys.stdout.flush()


def train_until_one_is_stopped(arguments: list[str]) -> int:
    """Train as one of several processes, of which the main one is told to stop in validation."""
    from iqasr.models import RestorationModel
    from iqasr.training.commands import train_command

    plain = RestorationModel.restore

    def restore(model: RestorationModel, lq: torch.Tensor) -> torch.Tensor:
        if model.process.is_main and model.position:
            signal.raise_signal(signal.SIGTERM)
        return plain(model, lq)

    RestorationModel.restore = restore
    return train_command(arguments) - (128 + signal.SIGTERM)


def train_until_one_cannot_validate(arguments: list[str]) -> int:
    """Train as one of several processes, of which the last one finds a damaged image."""
    from iqasr.evaluation import evaluate
    from iqasr.runtime.commands import WRONG_INPUT
    from iqasr.runtime.errors import DataError
    from iqasr.training.commands import train_command

    def fail(item: Mapping[str, Any], *others: Any) -> Any:
        if os.environ['RANK'] == '1':
            raise DataError('3.png: cut short.')
        return plain(item, *others)

    plain, evaluate.restore_item = evaluate.restore_item, fail
    return train_command(arguments) - WRONG_INPUT


def resume_where_one_finds_another_checkpoint(arguments: list[str]) -> int:
    """Continue as one of several processes, of which the last one cannot read the newest state."""
    from iqasr.runtime.checkpoint_folder import CheckpointFolder
    from iqasr.runtime.commands import WRONG_INPUT
    from iqasr.training.commands import train_command

    if os.environ['RANK'] == '1':
        plain = CheckpointFolder.iterations
        CheckpointFolder.iterations = lambda folder: plain(folder)[:-1]
    return train_command([*arguments, '--auto_resume']) - WRONG_INPUT


def train_until_one_cannot_read(arguments: list[str]) -> int:
    """Train as one of several processes, of which the last one finds a damaged image."""
    from iqasr.data.loader import PlacedDataset
    from iqasr.runtime.commands import WRONG_INPUT
    from iqasr.training.commands import train_command

    def fail(data: PlacedDataset, position: int, index: int) -> None:
        if position >= 16 and position % 2:
            raise ValueError('damaged')
        return plain(data, position, index)

    plain, PlacedDataset.draw = PlacedDataset.draw, fail
    return train_command(arguments) - WRONG_INPUT
