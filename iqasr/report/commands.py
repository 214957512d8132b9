"""Commands of this project, each in a process of its own."""

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Literal

import torch
import yaml

from iqasr.runtime.atomic_files import write_text_atomically
from iqasr.runtime.paths import resolve, set_aside
from iqasr.training.commands import test_command, train_command

COMMANDS = {'train': train_command, 'test': test_command}


def run_command(
    command: Literal['train', 'test'],
    option_file: Path,
    overrides: Sequence[str] = (),
    *flags: str,
) -> None:
    """Train or test as ``python iqasr/<command>.py`` does, on one core.

    Where the system can fork, processes come from one that has imported everything already, which
    saves ten seconds each; what happens to one of them harms neither the others nor the caller.

    Args:
        command: Which of the two.
        option_file: Its option file.
        overrides: As for ``--force_yml``.
        flags: Further arguments.

    Raises:
        RuntimeError: If it fails; the message ends with its last lines.
    """
    words = ['-opt', str(option_file), *flags]
    words += ['--force_yml', *overrides] if overrides else []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, 'log')
        process = start_command(command, words, log)
        process.join()
        said = log.read_text(encoding='utf-8', errors='replace') if log.is_file() else ''
    if process.exitcode:
        ending = said.strip()[-2000:] or f'exit code {process.exitcode}'
        raise RuntimeError(f'{command} {" ".join(words)} failed:\n{ending}')


def run_unless_done(
    command: Literal['train', 'test'],
    option_file: Path,
    product: Path,
    folders: Sequence[Path],
) -> None:
    """Train or test, continuing what was begun, unless the file that it makes is there.

    What other options have made, or the same ones from other weights, is set aside.

    Args:
        command: Which of the two.
        option_file: Its option file; a hidden file beside it records by what it was done.
        product: The file that it makes.
        folders: Folders of what it makes.

    Raises:
        RuntimeError: As `run_command`, if the file is not there afterwards.
    """
    record = option_file.with_name(f'.{option_file.stem}.made_by')
    made_by = option_file.read_text(encoding='utf-8')
    weights = yaml.safe_load(made_by)['path'].get('pretrain_network_g')
    if weights and (start := resolve(weights)).is_file():  # a name has no file, and never changes
        state = start.stat()
        made_by += f'# {state.st_size} bytes of {state.st_mtime_ns}\n'
    if not record.exists() or record.read_text(encoding='utf-8') != made_by:
        for folder in folders:
            set_aside(folder)
        write_text_atomically(made_by, record)
    if product.is_file():
        return
    try:
        run_command(command, option_file, (), '--auto_resume')
    except RuntimeError:
        if not product.is_file():  # a test without some judge of the panel makes it, too
            raise


def start_command(
    command: Literal['train', 'test'], words: Sequence[str], log: Path
) -> BaseProcess:
    """Start to train or test in a process of its own.

    Args:
        command: Which of the two.
        words: Its arguments.
        log: File that receives what it says.
    """
    can_fork = 'forkserver' in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context('forkserver' if can_fork else 'spawn')
    if can_fork:
        context.set_forkserver_preload(['__main__', __name__])
    process = context.Process(target=run_here, args=(command, words, log))
    process.start()
    return process


def run_here(command: str, words: Sequence[str], log: Path) -> None:
    """Run a command in the process made for it; what it says goes to a file."""
    with log.open('w', encoding='utf-8') as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    threading.Thread(target=stop_with_caller, daemon=True).start()
    torch.set_num_threads(1)
    # Else its own processes, such as the workers of data loaders, would come from a server, too.
    multiprocessing.set_start_method(None, force=True)
    sys.exit(COMMANDS[command](words))


def stop_with_caller() -> None:
    """Ask this process to save and stop once the one that started it is gone, if it was killed."""
    multiprocessing.parent_process().join()
    os.kill(os.getpid(), signal.SIGTERM)
