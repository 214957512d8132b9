"""From the command line to a trained or tested network."""

import argparse
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch.utils.data import Subset
from tqdm import tqdm

from iqasr.checking.check import load_options
from iqasr.data.loader import left_unopened
from iqasr.evaluation.evaluate import evaluate
from iqasr.metrics import build_metrics
from iqasr.options.sections import Options
from iqasr.runtime.atomic_files import write_text_atomically
from iqasr.runtime.checkpoint_folder import CheckpointFolder
from iqasr.runtime.distributed import Process, join_processes, leave_processes
from iqasr.runtime.errors import CheckpointError, DataError, MissingWeightsError, OptionError
from iqasr.runtime.paths import project_root, resolve, time_stamp
from iqasr.training.builders import build_dataset, build_model
from iqasr.training.run import TrainingRun
from iqasr.training.run_log import environment, log_to_file, set_up_logging
from iqasr.training.test_sets import evaluate_sets, find_checkpoints, folder_names

logger = logging.getLogger('iqasr')

INCOMPLETE = 1
"""Exit code when a test left out metrics of the panel."""

WRONG_INPUT = 2
"""Exit code when options, data or weights are refused."""


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
        options = load_options(resolve(arguments.opt), tuple(arguments.force_yml), phase)
        process = join_processes(arguments.launcher, options.num_gpu)
        set_up_logging(process)
        return work(options, process, arguments)
    except (OptionError, DataError, CheckpointError, MissingWeightsError) as error:
        logger.error('%s', error)
        return WRONG_INPUT
    finally:
        leave_processes()


def train(options: Options, process: Process, arguments: argparse.Namespace) -> int:
    """Train, or check that training can start."""
    torch.backends.cudnn.benchmark = True
    base = base_folder(options)
    root = base / 'experiments' / options.name
    if arguments.check:
        with refusals():
            training = TrainingRun(options, process, root)
        return check(training)
    board = base / 'tb_logger' / options.name if options.logger.use_tb_logger else None
    with claimed(root, process):
        with refusals():
            named = None if arguments.auto_resume else named_state(options)
            in_place = arguments.auto_resume or (named and named.parents[1] == root)
            logger.info('%s\n%s', environment(), options.as_yaml())
            checkpoint = None
            if named:
                checkpoint = CheckpointFolder(named.parents[1]).load(int(named.stem))
            elif arguments.auto_resume:
                checkpoint = CheckpointFolder(root).load_newest()
            training = TrainingRun(options, process, root, checkpoint, board)
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
def refusals() -> Iterator[None]:
    """Turn what constructors and readers refuse into messages, while nothing is under way."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise OptionError(str(error)) from error


@contextmanager
def claimed(root: Path, process: Process) -> Iterator[None]:
    """Keep a second process from training under the same name; a killed process frees it.

    Raises:
        OptionError: If another one does.
    """
    if not process.is_main:
        yield
        return
    lock = FileLock(root.parent / f'.{root.name}.lock', blocking=False)
    with refusals():
        root.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire()
    except Timeout:
        raise OptionError(
            f'{root}: another process is training under this name. Wait for it, or change name.'
        ) from None
    try:
        yield
    finally:
        lock.release()


def base_folder(options: Options) -> Path:
    """Folder that receives experiments, results and TensorBoard events."""
    return resolve(options.path.root) if options.path.root else project_root()


def named_state(options: Options) -> Path | None:
    """Find the training state that the option file names, if it names one.

    Raises:
        OptionError: If it is none.
    """
    named = options.path.resume_state
    if named is None:
        return None
    path = resolve(named)
    if path.suffix != '.state' or not path.stem.isdigit() or not path.is_file():
        raise OptionError(f'path.resume_state: {named} is no file <iteration>.state.')
    return path


def set_aside(folder: Path | None) -> None:
    """Rename the folder of an earlier run of the same name."""
    if folder is not None and folder.exists():
        archive = folder.with_name(f'{folder.name}_archived_{time_stamp()}')
        logger.info('%s exists; it is kept as %s.', folder, archive.name)
        folder.rename(archive)


def check(training: TrainingRun) -> int:
    """Decode all training data, restore one image of each set, take one step; write nothing."""
    data = training.train_set
    if hasattr(data, 'check'):
        problems = data.check(decode=True)
    else:
        items = tqdm(range(len(data)), desc='reading', unit='image', disable=None)
        problems = []
        with left_unopened(data):
            for index in items:
                data[index]
    if problems:
        raise DataError(problems)
    model, validator = training.model, training.validator
    for name, dataset in validator.sets.items():
        evaluate(
            model.test,
            Subset(dataset, [0]),
            validator.metrics,
            name=name,
            process=training.process,
            base=model.base_output,
        )
    with training.stream() as stream:
        values = training.model.optimize_parameters(next(stream), 1, 0)
    if training.sick():
        raise DataError('The first step gives a loss that is not finite; look at the data.')
    numbers = ', '.join(f'{name} {float(value):.3e}' for name, value in values.items())
    logger.info('Ready to train: %d images; first step: %s', len(data), numbers)
    return 0


def test(options: Options, process: Process, arguments: argparse.Namespace) -> int:
    """Restore and measure every test set with every checkpoint."""
    root = base_folder(options) / 'results' / options.name
    paths = find_checkpoints(arguments.checkpoints)
    if paths and options.is_restored:
        raise OptionError('--checkpoints: no network runs, as all images are restored already.')
    names = folder_names(paths) if len(paths) > 1 else [None]
    if process.is_main:
        log_to_file(root / f'test_{options.name}_{time_stamp()}.log')
    logger.info('%s\n%s', environment(), options.as_yaml())
    with refusals():
        sets = {
            section.get('name', key): build_dataset(section, options, 'test')
            for key, section in options.datasets_of('test').items()
        }
        val = options.val
        metrics, missing = build_metrics(
            val.metrics, val.panel, panel_crop_border=val.panel_crop_border, device=process.device
        )
    for path, name in zip(paths or [None], names, strict=True):
        own = options.model_copy(deep=True)
        if path is not None:
            own.path.pretrain_network_g = str(path)
        with refusals():
            seed = own.manual_seed or 0
            model = None if own.is_restored else build_model(own, process, seed)
            if (
                model is not None
                and own.path.pretrain_network_g is None
                and any(True for _ in model.net_g.parameters())
            ):
                logger.warning('path.pretrain_network_g: missing, so random weights are tested.')
        evaluate_sets(
            own,
            None if model is None else model.test,
            sets,
            metrics,
            name=f'{options.name}/{name}' if name else options.name,
            root=root / name if name else root,
            process=process,
        )
    if missing:
        logger.error('val.panel: not measured: %s; see above.', ', '.join(missing))
    return INCOMPLETE if missing else 0
