"""From the command line to a trained or tested network."""

import argparse
import json
import logging
import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from iqasr.checking.check import load_options, notices_of_fetch
from iqasr.checking.training import check_schedule
from iqasr.compat import tensors_only
from iqasr.models import RestorationModel
from iqasr.options.schema import Problems
from iqasr.options.sections import OpenOptions, Options
from iqasr.registry import MODEL_REGISTRY, lookup
from iqasr.runtime.atomic_files import write_text_atomically
from iqasr.runtime.commands import exit_code_of
from iqasr.runtime.distributed import Process, join_processes, leave_processes
from iqasr.runtime.errors import InputError, OptionError
from iqasr.runtime.paths import project_root, resolve, set_aside, time_stamp
from iqasr.training.dry_run import check
from iqasr.training.opt import opt_of
from iqasr.training.run import TrainingRun, build_loaders
from iqasr.training.run_log import describe_environment, log_to_file, set_up_logging
from iqasr.training.start import find_start, require_same_start, require_weights_elsewhere
from iqasr.training.test_sets import (
    UNFINISHED,
    begin_test,
    describe_test,
    end_test,
    find_checkpoints,
    folder_names,
    is_begun,
    write_results,
)

logger = logging.getLogger('iqasr')

INCOMPLETE = 1
"""Exit code when a test left out metrics of the panel."""


def train_command(arguments: Sequence[str] | None = None) -> int:
    """Run ``python iqasr/train.py``; returns the exit code."""
    parser = command_parser('Train a network as an option file says.')
    parser.add_argument('--auto_resume', action='store_true', help='continue an unfinished run')
    parser.add_argument(
        '--check',
        action='store_true',
        help='validate options, data and weights, take one dry step, write nothing, stop',
    )
    return run(parser.parse_args(arguments), 'train', train)


def test_command(arguments: Sequence[str] | None = None) -> int:  # noqa: PT028
    """Run ``python iqasr/test.py``; returns the exit code."""
    parser = command_parser('Restore and measure test sets as an option file says.')
    parser.add_argument(
        '--checkpoints',
        nargs='+',
        default=[],
        metavar='FILE',
        help='weights to test instead of path.pretrain_network_g; several have a folder each',
    )
    parser.add_argument(
        '--auto_resume', action='store_true', help='keep what an unfinished test has measured'
    )
    parsed = parser.parse_args(arguments)
    if parsed.checkpoints:  # Weights that tell the network, if the option file does not.
        parsed.force_yml.append(f'path:pretrain_network_g={json.dumps(parsed.checkpoints[0])}')
    return run(parsed, 'test', test)


def command_parser(description: str) -> argparse.ArgumentParser:
    """Make the arguments that training and testing share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('-opt', required=True, help='option file (YAML)')
    parser.add_argument('--launcher', choices=['none', 'pytorch'], default='none')
    parser.add_argument(
        '--force_yml', nargs='+', default=[], metavar='A:B=C', help='override single options'
    )
    parser.add_argument(
        '--import',
        dest='imports',
        nargs='+',
        default=[],
        metavar='MODULE',
        help='modules that register further models, data sets, losses, ...; as custom_imports',
    )
    # Passed by `python -m torch.distributed.launch`; the environment says the same.
    parser.add_argument('--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS)
    return parser


def run(
    arguments: argparse.Namespace,
    phase: str,
    work: Callable[[Options, Process, argparse.Namespace], int],
) -> int:
    """Read the options, join the other processes, work, and turn refusals into messages."""
    set_up_logging(Process())
    process = Process()
    try:
        options = load_options(
            resolve(arguments.opt), arguments.force_yml, phase, arguments.imports
        )
        process = join_processes(arguments.launcher, options.num_gpu)
        set_up_logging(process)
        return work(options, process, arguments)
    except InputError as error:
        logger.error('%s', error)
        return exit_code_of(error)
    finally:
        leave_processes()


def train(options: Options, process: Process, arguments: argparse.Namespace) -> int:
    """Train, or check that training can start."""
    torch.backends.cudnn.benchmark = True
    base = base_folder(options)
    root = base / 'experiments' / options.name
    board = base / 'tb_logger' / options.name if options.logger.use_tb_logger else None
    for folder in (root, board or root):
        require_folder(folder)
    check_course(options)
    if arguments.check:
        state = find_start(options, root, auto_resume=arguments.auto_resume)
        if notices := notices_of_fetch(options):
            logger.info('The options are right. %s.', '; '.join(notices))
            logger.info('Data and a first step are checked only once they are here.')
            return 0
        with as_option_errors():
            training = TrainingRun(options, process, root, state)
        return check(training)
    with lock_run(root, process):
        with as_option_errors():
            logger.info('%s', describe_environment())
            logger.debug('The options:\n%s', options.as_yaml())
            state = find_start(options, root, auto_resume=arguments.auto_resume)
            require_same_start(state, process)
            in_place = arguments.auto_resume or (state and state.parents[1] == root)
            if not in_place:
                require_weights_elsewhere(options, root)
            training = TrainingRun(options, process, root, state, board)
            # Only now, so that a run that is refused leaves an earlier one where it is.
            if process.is_main:
                if not in_place and (root / 'models').exists():
                    set_aside(root)
                    set_aside(board)
                log_to_file(root / f'train_{options.name}_{time_stamp()}.log')
                write_text_atomically(options.as_yaml(), root / Path(arguments.opt).name)
            process.barrier()
        return training.train()


@contextmanager
def as_option_errors() -> Iterator[None]:
    """Turn what constructors and readers refuse into messages, while nothing is under way."""
    try:
        yield
    except (ValueError, OSError, pickle.UnpicklingError) as error:
        raise OptionError(str(error)) from error


@contextmanager
def lock_run(root: Path, process: Process) -> Iterator[None]:
    """Keep a second process from working in the same folder; a killed process frees it.

    Raises:
        OptionError: If another one does.
    """
    if not process.is_main:
        yield
        return
    with as_option_errors():
        root.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(root.parent / f'.{root.name}.lock', blocking=False).acquire()
    except Timeout:
        raise OptionError(
            f'{root}: another process is at work under this name. Wait for it, or change name.'
        ) from None
    with lock:
        yield


def base_folder(options: Options) -> Path:
    """Folder that receives experiments, results and TensorBoard events."""
    return resolve(options.path.root) if options.path.root else project_root()


def require_folder(folder: Path, option: str = 'path.root') -> None:
    """Refuse a folder that can neither be made nor written.

    Raises:
        OptionError: If a file is in its place or above it, or nothing may be written there.
    """
    found = next(path for path in (folder, *folder.parents) if path.exists())
    if not found.is_dir():
        raise OptionError(f'{option}: {found} is a file; a folder is needed. Name another one.')
    if not os.access(found, os.W_OK | os.X_OK):
        raise OptionError(f'{option}: nothing may be written to {found}. Name another folder.')


def check_course(options: Options) -> None:
    """Step the scheduler through all of the run.

    Raises:
        OptionError: If it fails on the way.
    """
    problems = Problems()
    if not isinstance(options, OpenOptions):
        check_schedule(problems, options.train)
    if problems.entries:
        raise OptionError('\n'.join(problems.entries))


def test(options: Options, process: Process, arguments: argparse.Namespace) -> int:
    """Find the checkpoints to test, and test them, as the only one in their folder."""
    root = base_folder(options) / 'results' / options.name
    require_folder(root)
    paths = find_checkpoints(arguments.checkpoints)
    if paths and options.is_restored:
        raise OptionError('--checkpoints: no network runs, as all images are restored already.')
    folders = [root / name for name in folder_names(paths)] if len(paths) > 1 else [root]
    checkpoints = dict(zip(folders, paths or [None], strict=True))
    with lock_run(root, process):
        return measure(options, process, root, checkpoints, auto_resume=arguments.auto_resume)


def measure(
    options: Options,
    process: Process,
    root: Path,
    checkpoints: Mapping[Path, Path | None],
    *,
    auto_resume: bool,
) -> int:
    """Restore and measure every test set with every checkpoint, named by its result folder."""
    if process.is_main:
        log_to_file(root / f'test_{options.name}_{time_stamp()}.log')
    logger.info('%s', describe_environment())
    logger.debug('The options:\n%s', options.as_yaml())
    model: Any = None
    for folder, path in checkpoints.items():
        own = options.model_copy(deep=True)
        if path is not None:
            own.path.pretrain_network_g = str(path)
        with as_option_errors():
            opt = opt_of(own, process, folder, seed=own.manual_seed or 0, is_train=False)
            loaders = build_loaders(opt, own.scale, 'test')
            model = build_tested(own, opt)
        model.unfinished = folder / UNFINISHED
        record = describe_test(own, opt, model, loaders)
        if process.is_main and not (auto_resume and is_begun(folder, record)):
            begin_test(folder, record, pictures_are_inputs=own.is_restored)
        process.barrier()
        results = [model.validation(loader, own.name, None, own.val.save_img) for loader in loaders]
        if process.is_main and None not in results:
            name = own.name if folder == root else f'{own.name}/{folder.name}'
            write_results(results, model.metrics, own, name=name, root=folder)
    process.barrier()
    if process.is_main:
        end_test(checkpoints)
    if missing := getattr(model, 'missing_metrics', []):
        logger.error('val.panel: not measured: %s; see above.', ', '.join(missing))
    return INCOMPLETE if missing else 0


def build_tested(options: Options, opt: dict[str, Any]) -> Any:
    """Build the model that restores and measures test sets."""
    with tensors_only():
        model = lookup(MODEL_REGISTRY, options.model_type)(opt)
    if options.path.pretrain_network_g is None and any(True for _ in model.net_g.parameters()):
        logger.warning('path.pretrain_network_g: missing, so random weights are tested.')
    if isinstance(model, RestorationModel):
        options.network_g = model.options.network_g  # recognised from its weights
    else:
        logger.info('%s logs its results itself; no table is written.', options.model_type)
    return model
