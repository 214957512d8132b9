"""The command ``iqasr-restore``: pictures in, restored pictures out."""

import argparse
import json
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from iqasr.archs.lora import base_state
from iqasr.archs.lora_files import merge_profiles, read_lora
from iqasr.data.files.picture_writers import WRITERS, format_of
from iqasr.data.files.pictures import PICTURE_SUFFIXES
from iqasr.enhancement.network_enhancer import hash_weights
from iqasr.models.networks import locate_network, open_network
from iqasr.restoration.comparison import write_comparison
from iqasr.restoration.jobs import Job, find_jobs
from iqasr.restoration.picture_restorer import PictureRestorer
from iqasr.restoration.restore import Tally, restore_pictures
from iqasr.runtime.atomic_files import write_json
from iqasr.runtime.commands import exit_code_of
from iqasr.runtime.distributed import Process, joined_processes
from iqasr.runtime.errors import InputError
from iqasr.runtime.paths import resolve
from iqasr.training.commands import require_folder

logger = logging.getLogger('iqasr')

LEFT_OUT = 1
"""Exit code when pictures were left out."""

INTERRUPTED = 128 + signal.SIGINT
"""Exit code when stopped by Ctrl-C."""

RECORD, SHEET = '.iqasr-restore.json', 'comparison.png'

LARGEST_OUTSCALE = 1000
"""So that all pictures remain within what a file can say of its size."""


def restore_command(arguments: Sequence[str] | None = None) -> int:
    """Run ``iqasr-restore``; returns the exit code."""
    parsed = command_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    start = time.monotonic()
    try:
        with joined_processes(cpu=parsed.cpu) as process:
            logger.setLevel(logging.INFO if process.is_main else logging.ERROR)
            tally = restore_with_each(parsed, process)
            if process.is_main:
                line = tally.summary(Path(parsed.output), time.monotonic() - start)
                sys.stdout.write(f'{line}\n')
    except (InputError, ValueError) as error:
        sys.stderr.write(f'iqasr-restore: {error}\n')
        return exit_code_of(error)
    except KeyboardInterrupt:
        sys.stderr.write('iqasr-restore: stopped. Started again, it goes on where it was.\n')
        return INTERRUPTED
    # Of the others, torchrun would take it for a failure, and end the main process.
    return LEFT_OUT if tally.left_out and process.is_main else 0


def command_parser() -> argparse.ArgumentParser:
    """Make the arguments."""
    parser = argparse.ArgumentParser(
        prog='iqasr-restore',
        description='Restore pictures of every kind with a network; under torchrun, the processes '
        'share them. Started again, it goes on where it was.',
    )
    add = parser.add_argument
    add('inputs', nargs='+', metavar='INPUT', help='file, folder (at any depth), or pattern')
    add('-w', '--weights', nargs='+', required=True, help='file, name (iqasr-weights list), or '
        'folder of a run; of several, each has a folder, and a sheet compares them')  # fmt: skip
    add('-o', '--output', required=True, help='folder, made if need be; or, of one file, a '
        'picture')  # fmt: skip
    add('--outscale', type=float, metavar='S', help='make each picture S times as large as its '
        'input; default: the scale of the weights')  # fmt: skip
    add('--lora', nargs='+', default=[], metavar='FILE', help='adapters of the weights')
    add('--lora_scale', nargs='+', type=float, help='strength of each; default 1')
    add('--suffix', default='', help='put behind each name, such as _x4')
    add('--format', choices=[suffix[1:] for suffix in WRITERS],
        help='default: that of the file, or png')  # fmt: skip
    add('--overwrite', action='store_true', help='restore also what has been restored')
    add('--precision', choices=['auto', 'float32', 'float16'], default='auto',
        help='auto: float16 on a GPU, but for pictures of 16 bits')  # fmt: skip
    add('--memory_gb', type=float, help='how much memory to use; default: a share of what is free')
    add('--tile_px', type=int, help='side of the tiles; default: what the memory allows')
    add('--tile_overlap_px', type=int, help='what tiles see beyond each side; default: as far as '
        'the network sees, found by trying')  # fmt: skip
    add('--self_ensemble', action='store_true',
        help='mean over eight orientations: a little better, eight times as slow')  # fmt: skip
    add('--cpu', action='store_true', help='do not use the GPU')
    return parser


def restore_with_each(arguments: argparse.Namespace, process: Process) -> Tally:
    """Restore all pictures with the network of each file of weights."""
    check_numbers(arguments)
    output = Path(arguments.output).expanduser()
    if output.suffix.lower() in PICTURE_SUFFIXES and not output.is_dir():
        return restore_to_file(arguments, output, process)
    require_folder(output, '--output')
    paths = [locate_network(weights) for weights in arguments.weights]
    names = [label_of(*pair) for pair in zip(arguments.weights, paths, strict=True)]
    if len(set(names)) < len(names):
        raise InputError(f'-w: {", ".join(names)}: give each file of weights another name.')
    if arguments.lora and len(paths) > 1:
        raise InputError('--lora: give one file of weights, the one the adapters belong to.')
    total, targets = Tally(), {}
    for path, name in zip(paths, names, strict=True):
        into = name if len(paths) > 1 else ''
        jobs = find_jobs(
            arguments.inputs,
            output,
            into=into,
            suffix=arguments.suffix,
            file_format=arguments.format,
        )
        network, scale = open_adapted(path, arguments.lora, arguments.lora_scale)
        made_by = {
            'weights': hash_weights(network.state_dict()),
            'self_ensemble': arguments.self_ensemble,
            'outscale': None if arguments.outscale == scale else arguments.outscale,
        }
        check = {'process': process, 'overwrite': arguments.overwrite}
        since = check_record(output / into / RECORD, made_by, jobs, **check)
        restorer = PictureRestorer(network, scale, process.device, **limits(arguments, process))
        total.add(restore_pictures(jobs, restorer, since=since, process=process, label=name))
        for job in jobs:
            targets.setdefault(job.source, []).append(job.target)
    if len(paths) > 1 and process.is_main:
        compare(output / SHEET, targets, names)
    return total


def label_of(weights: str, path: Path) -> str:
    """Name a network by its file; or by its run, where all files are called the same."""
    folder = resolve(weights)
    return folder.resolve().name if folder in path.parents else path.stem


def restore_to_file(arguments: argparse.Namespace, target: Path, process: Process) -> Tally:
    """Restore one picture to a file that is named; no record is kept of it."""
    source = Path(arguments.inputs[0]).expanduser()
    if max(len(arguments.inputs), len(arguments.weights)) > 1 or not source.is_file():
        raise InputError(
            f'--output: {target} is the name of a picture, which takes one input file and one '
            'network. Name a folder.'
        )
    if format_of(target) is None:
        raise InputError(f'--output: {target}: name a file of {", ".join(WRITERS)}.')
    if arguments.suffix or arguments.format:
        raise InputError(f'--output: {target} is a whole name: leave out --suffix and --format.')
    require_folder(target.parent, '--output')
    if target.exists() and (target.samefile(source) or not arguments.overwrite):
        advice = '' if target.samefile(source) else ', or give --overwrite'
        raise InputError(f'--output: {target} is there already. Name another file{advice}.')
    path = locate_network(arguments.weights[0])
    restorer = PictureRestorer(
        *open_adapted(path, arguments.lora, arguments.lora_scale),
        process.device,
        **limits(arguments, process),
    )
    jobs = [Job(source, target)]
    return restore_pictures(jobs, restorer, since=math.inf, process=process, label=target.name)


def check_numbers(arguments: argparse.Namespace) -> None:
    """Refuse numbers out of range."""
    for name in ('memory_gb', 'tile_px', 'outscale'):
        value = getattr(arguments, name)
        if value is not None and not 0 < value < math.inf:
            raise InputError(f'--{name}: {value}; give more than 0.')
    if (arguments.outscale or 0) > LARGEST_OUTSCALE:
        raise InputError(f'--outscale: {arguments.outscale:g}; give at most {LARGEST_OUTSCALE}.')
    if (arguments.tile_overlap_px or 0) < 0:
        raise InputError(f'--tile_overlap_px: {arguments.tile_overlap_px}; give 0 or more.')
    if Path(arguments.suffix).name != arguments.suffix:
        raise InputError(f'--suffix: {arguments.suffix}; give a part of a name, not of a path.')
    scales = arguments.lora_scale
    if scales is not None and len(scales) != len(arguments.lora):
        raise InputError(f'--lora_scale: {len(scales)} for {len(arguments.lora)} adapters.')


def limits(arguments: argparse.Namespace, process: Process) -> dict[str, Any]:
    """Turn arguments into those of `PictureRestorer`."""
    on_gpu, precision = process.device.type == 'cuda', arguments.precision
    return {
        'memory_bytes': arguments.memory_gb and arguments.memory_gb * 1e9,
        'half': precision == 'float16' or (precision == 'auto' and on_gpu),
        'tile_px': arguments.tile_px,
        'tile_overlap_px': arguments.tile_overlap_px,
        'self_ensemble': arguments.self_ensemble,
        'outscale': arguments.outscale,
    }


def open_adapted(
    path: Path, adapters: Sequence[str], scales: Sequence[float] | None
) -> tuple[nn.Module, int]:
    """Open a network, with adapters merged; returns it and its scale."""
    network, scale = open_network(path)
    if adapters:
        factors = scales or [1.0] * len(adapters)
        profiles = [(read_lora(file), f) for file, f in zip(adapters, factors, strict=True)]
        with torch.no_grad():
            network.load_state_dict(merge_profiles(base_state(network), profiles))
    return network, scale


def check_record(
    path: Path,
    made_by: Mapping[str, Any],
    jobs: Sequence[Job],
    *,
    process: Process,
    overwrite: bool,
) -> float:
    """Check that a folder holds pictures of these files and weights, and note which these are.

    Args:
        path: Record of what made the pictures, and of the file of each; made when pictures are
            first written to the folder, and anew when they are overwritten.
        made_by: ``weights``, their hash, ``self_ensemble``, and ``outscale``, None for the scale of
            the weights.
        jobs: The pictures.
        process: This process.
        overwrite: Let other pictures be replaced.

    Returns:
        When the record was made; older pictures are not of these weights.

    Raises:
        InputError: If the pictures are of other weights or files, or of unknown ones, so that a
            mixture would arise.
    """
    sources = {str(job.target.relative_to(path.parent)): str(job.source) for job in jobs}
    there = [name for name in sources if (path.parent / name).exists()]
    advice = 'Name another folder, or give --overwrite.'
    made = None if overwrite or not path.exists() else path.stat().st_mtime_ns
    if made is not None:
        found = {'self_ensemble': False, 'outscale': None} | read_record(path)
        if any(found.get(key) != value for key, value in made_by.items()):
            raise InputError(
                f'{path.parent}: holds pictures restored with other weights or adapters, or '
                f'with another choice of --self_ensemble or --outscale. {advice}'
            )
        known = found.get('sources', {})
        if others := [name for name in there if known.get(name, sources[name]) != sources[name]]:
            raise InputError(
                f'{path.parent / others[0]} was restored from {known[others[0]]}, not from '
                f'{sources[others[0]]}. {advice}'
            )
        sources = known | sources
    elif there and not overwrite:
        raise InputError(
            f'{path.parent / there[0]} is there, and was not restored by this command. {advice}'
        )
    process.barrier()
    if process.is_main:
        write_json({**made_by, 'sources': sources}, path)
        if made is not None:
            os.utime(path, ns=(made, made))  # what was done before stays done
    process.barrier()  # all see the new record
    return path.stat().st_mtime


def read_record(path: Path) -> dict[str, Any]:
    """Read a record; empty if it is none."""
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def compare(path: Path, targets: dict[Path, list[Path]], names: Sequence[str]) -> None:
    """Write the sheet of all pictures that every network restored."""
    groups = [
        [source, *files]
        for source, files in targets.items()
        if len(files) == len(names) and all(file.exists() for file in files)
    ]
    if groups:
        write_comparison(path, groups, ['input', *names])
        logger.info('%s compares them.', path)
