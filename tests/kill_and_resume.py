"""Kill a training run again and again, resume it each time, and compare with one left in peace.

Usage:
    python tests/kill_and_resume.py --kills 20 --iterations 60 --workers 2
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from iqasr.report.commands import start_command

REPOSITORY = Path(__file__).resolve().parents[1]


def start(options: dict[str, Any], folder: Path) -> tuple[BaseProcess, Path]:
    """Start or continue a run; an option file in JSON is YAML, too.

    Returns:
        Its process, and the file that receives what it says.
    """
    path, log = (folder / f'{options["name"]}{ending}' for ending in ('.yml', '.log'))
    path.write_text(json.dumps(options))
    log.unlink(missing_ok=True)
    return start_command('train', ['-opt', str(path), '--auto_resume'], log), log


def finish(process: BaseProcess, log: Path) -> None:
    """Wait for a run that is to end well."""
    process.join()
    assert process.exitcode == 0, log.read_text(encoding='utf-8')


def kill_at_random(process: BaseProcess, log: Path, generator: torch.Generator, most: int) -> bool:
    """Kill a run after a random number of iterations and a random delay.

    Returns:
        Whether it was killed before it had finished.
    """
    wanted = int(torch.randint(most + 1, (), generator=generator))
    delay = float(torch.rand((), generator=generator)) * 0.05
    while process.is_alive() and iterations_in(log) <= wanted:
        time.sleep(0.01)
    time.sleep(delay)
    finished = not process.is_alive()
    process.kill()
    process.join()
    return not finished


def iterations_in(log: Path) -> int:
    """Count the iterations that a run has reported."""
    return (
        len(re.findall(r'iteration .*/', log.read_text(encoding='utf-8'))) if log.is_file() else 0
    )


def kill_and_resume(
    options: dict[str, Any], kills: int, folder: Path, say: Callable[[str], Any]
) -> bool:
    """Compare the final weights of an undisturbed and of an often killed run.

    Args:
        options: Any option file; it reports and saves often enough to be killed in between.
        kills: How often to kill.
        folder: Where both runs write.
        say: Receives a line for each kill.

    Returns:
        Whether all weights are bit-identical.
    """
    options = options | {'path': options.get('path', {}) | {'root': str(folder)}}
    finish(*start(options | {'name': 'whole'}, folder))
    generator = torch.Generator().manual_seed(0)
    total = options['train']['total_iter']
    killed = newest = 0
    while killed < kills and newest < total:
        run = start(options | {'name': 'killed'}, folder)
        left = (total - newest) // (2 * (kills - killed))
        killed += kill_at_random(*run, generator, most=left)
        states = (folder / 'experiments/killed/training_states').glob('*.state')
        newest = max((int(path.stem) for path in states), default=0)
        say(f'kill {killed}: newest checkpoint at iteration {newest}')
    finish(*start(options | {'name': 'killed'}, folder))
    say(f'{killed} kills, then finished')
    names = [path.name for path in (folder / 'experiments/whole/models').glob(f'*_{total}.pth')]
    return all(same_file(folder / 'experiments', name) for name in names)


def same_file(experiments: Path, name: str) -> bool:
    """Compare the weights of both runs in one checkpoint file."""
    first, second = (
        torch.load(experiments / run / 'models' / name, weights_only=True)
        for run in ('whole', 'killed')
    )
    return all(
        torch.equal(value, second[key][weight])
        for key, weights in first.items()
        for weight, value in weights.items()
    )


def options_on(dataroot: str, iterations: int, workers: int) -> dict[str, Any]:
    """A GAN run with every kind of state: average, scheduler, pool, discriminator, calibration."""
    adam = {'type': 'Adam', 'lr': 1e-3}
    return {
        'scale': 4,
        'num_gpu': 0,
        'manual_seed': 0,
        'datasets': {
            'train': {
                'type': 'MultiGTDataset',
                'dataroot_gt': dataroot,
                'gt_size': 64,
                'margin': 32,
                'batch_size_per_gpu': 2,
                'num_worker_per_gpu': workers,
                'sampling': {'type': 'UniformSampler', 'candidates': 'all'},
                'degradation': {'type': 'SecondOrderDegradation'},
                'queue_size': 8,
            }
        },
        'network_g': {'type': 'MSRResNet', 'num_feat': 8, 'num_block': 2, 'upscale': 4},
        'network_d': {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4},
        'train': {
            'total_iter': iterations,
            'ema_decay': 0.99,
            'optim_g': adam,
            'optim_d': adam,
            'scheduler': {'type': 'CosineAnnealingLR', 'T_max': iterations},
            'pixel_opt': {'type': 'L1Loss'},
            'gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla', 'loss_weight': 0.1},
            'quality_opt': {
                'type': 'QualityLoss',
                'scorer': {'type': 'RankerScorer'},
                'gradient_ratio': 0.5,
                'calibrate_iter': 4,
                'calibrate_every': 3,
                'views': {'shift': 4, 'flip': True},
            },
        },
        'logger': {'print_freq': 1, 'save_checkpoint_freq': 2, 'use_tb_logger': False},
    }


def main() -> None:
    """Run the comparison on the sample data set and exit with 1 if weights differ."""
    parser = argparse.ArgumentParser(description='Kill a run, resume it, compare the weights.')
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--iterations', type=int, default=60)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--data', default=str(REPOSITORY / 'datasets/sample/train'))
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    options = options_on(args.data, args.iterations, args.workers)
    same = kill_and_resume(options, args.kills, folder, lambda s: sys.stdout.write(f'{s}\n'))
    shutil.rmtree(folder)
    sys.stdout.write(f'final weights bit-identical: {same}\n')
    sys.exit(not same)


if __name__ == '__main__':
    main()
