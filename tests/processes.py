"""Functions in processes of their own, which start at once: all is imported already."""

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch


def start(function: Callable[..., Any], *arguments: Any, log: Path) -> BaseProcess:
    """Start a function of a module that can be imported; what it says goes to a file."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['__main__', 'iqasr.report.commands'])
    process = context.Process(target=call, args=(function, arguments, log))
    process.start()
    return process


def call(function: Callable[..., Any], arguments: tuple[Any, ...], log: Path) -> None:
    """Call a function in the process made for it."""
    with log.open('w', encoding='utf-8') as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    os.environ['CUDA_VISIBLE_DEVICES'] = ''
    torch.set_num_threads(1)
    sys.exit(function(*arguments))


def run(function: Callable[..., Any], *arguments: Any, log: Path) -> str:
    """Call a function in a process of its own; returns what it said. It has to end well."""
    process = start(function, *arguments, log=log)
    process.join()
    said = log.read_text(encoding='utf-8')
    assert process.exitcode == 0, said
    return said


def run_stock_pipeline(phase: str, option_file: str, root: str) -> None:
    """Train or test with BasicSR's own pipeline."""
    import basicsr.test
    import basicsr.train

    sys.argv[1:] = ['-opt', option_file]
    pipeline = {'train': basicsr.train.train_pipeline, 'test': basicsr.test.test_pipeline}[phase]
    pipeline(root)
