"""From the command line to a trained or tested network."""

import argparse
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from iqasr.builders import build_dataset, build_model
from iqasr.checkpoint import CheckpointError, CheckpointFolder, write_json, write_text_atomically
from iqasr.data.image_files import DataError
from iqasr.distributed import Process, join_processes, leave_processes
from iqasr.metrics import build_metric
from iqasr.option_check import load_options
from iqasr.options import OptionError, Options
from iqasr.paths import project_root, resolve
from iqasr.run_log import environment, log_to_file, set_up_logging, time_stamp
from iqasr.training_run import TrainingRun
from iqasr.validation import evaluate

logger = logging.getLogger('iqasr')

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
    return run(parser.parse_args(arguments), 'test', test)


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
    except (OptionError, DataError, CheckpointError) as error:
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
        return check(TrainingRun(options, process, root))
    checkpoint = find_checkpoint(options, root, auto_resume=arguments.auto_resume)
    board = base / 'tb_logger' / options.name if options.logger.use_tb_logger else None
    process.barrier()
    if process.is_main:
        if checkpoint is None:
            set_aside(root)
            set_aside(board)
        log_to_file(root / f'train_{options.name}_{time_stamp()}.log')
        write_text_atomically(options.as_yaml(), root / Path(arguments.opt).name)
    process.barrier()
    logger.info('%s\n%s', environment(), options.as_yaml())
    return TrainingRun(options, process, root, checkpoint, board).train()


def base_folder(options: Options) -> Path:
    """Folder that receives experiments, results and TensorBoard events."""
    return resolve(options.path.root) if options.path.root else project_root()


def find_checkpoint(options: Options, root: Path, *, auto_resume: bool) -> tuple | None:
    """Load the checkpoint to continue from, if one is asked for and there."""
    named = options.path.resume_state
    if named is not None and not auto_resume:
        state = resolve(named)
        return CheckpointFolder(state.parents[1]).load(int(state.stem))
    return CheckpointFolder(root).load_newest() if auto_resume else None


def set_aside(folder: Path | None) -> None:
    """Rename the folder of an earlier run of the same name."""
    if folder is not None and folder.exists():
        archive = folder.with_name(f'{folder.name}_archived_{time_stamp()}')
        logger.info('%s exists; it is kept as %s.', folder, archive.name)
        folder.rename(archive)


def check(training: TrainingRun) -> int:
    """Decode all training data and take one step, writing nothing."""
    data = training.train_set
    if hasattr(data, 'check'):
        problems = data.check(decode=True)
    else:
        items = tqdm(range(len(data)), desc='reading', unit='image', disable=None)
        problems = []
        for index in items:
            data[index]
    if problems:
        raise DataError(problems)
    batches = next(training.stream())
    values = training.model.optimize_parameters(batches, 1, 0)
    if training.sick():
        raise DataError('The first step gives a loss that is not finite; look at the data.')
    numbers = ', '.join(f'{name} {float(value):.3e}' for name, value in values.items())
    logger.info('Ready to train: %d images; first step: %s', len(data), numbers)
    return 0


def test(options: Options, process: Process, arguments: argparse.Namespace) -> int:
    """Restore and measure every test set."""
    root = base_folder(options) / 'results' / options.name
    if process.is_main:
        log_to_file(root / f'test_{options.name}_{time_stamp()}.log')
    logger.info('%s\n%s', environment(), options.as_yaml())
    model = build_model(options, process, options.manual_seed or 0)
    metrics = [build_metric(name, section) for name, section in options.val.metrics.items()]
    summary = {'name': options.name, 'better': {m.name: m.better for m in metrics}, 'sets': {}}
    for key, section in options.datasets_of('test').items():
        name = section.get('name', key)
        ending = options.val.suffix or options.name

        def save_to(image: str, name: str = name, ending: str = ending) -> Path:
            return root / 'visualization' / name / f'{image}_{ending}.png'

        result = evaluate(
            model.test,
            build_dataset(section, options, 'test'),
            metrics,
            name=name,
            process=process,
            save_to=save_to if options.val.save_img else None,
        )
        means = result.means()
        summary['sets'][name] = {'means': means, 'files': result.files}
        if process.is_main:
            result.write_csv(root / f'{name}.csv')
        numbers = ', '.join(f'{m.name}{m.arrow} {means[m.name]:.4f}' for m in metrics)
        logger.info('%s, %d images: %s', name, len(result.rows), numbers)
    if process.is_main:
        write_json(summary, root / 'summary.json')
    return 0
