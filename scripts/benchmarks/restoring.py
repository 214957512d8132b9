"""Time the restoring of a picture by networks with shifted windows, and in half precision.

Weights are random. "Plain" is the network as its authors wrote it, which makes the masks of its
windows in every block; half precision is compared on a GPU only.

Usage:
    OMP_NUM_THREADS=1 python scripts/benchmarks/restoring.py --json restoring.json
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ratios import alternate, report, speed_up

from iqasr.archs import spandrel_networks
from iqasr.archs.spandrel_networks import spandrel
from iqasr.restoration.picture_restorer import PictureRestorer
from iqasr.runtime.distributed import this_process
from iqasr.runtime.randomness import generator_at

UPSAMPLING = {'upscale': 4, 'upsampler': 'pixelshuffledirect'}
NETWORKS: dict[str, dict[str, Any]] = {
    'SwinIR-S': UPSAMPLING
    | {'arch': 'SwinIR', 'window_size': 8, 'depths': [6] * 4, 'num_heads': [6] * 4}
    | {'embed_dim': 60, 'mlp_ratio': 2},
    'DAT-light': UPSAMPLING
    | {'arch': 'DAT', 'depth': [18], 'num_heads': [6], 'embed_dim': 60, 'split_size': [8, 32]},
}


def work_of(name: str, side: int, *, half: bool = False) -> Callable[[], Any]:
    """Prepare the restoring of an image with a network."""
    device = this_process(use_gpu=True).device
    network = spandrel(**NETWORKS[name]).eval().requires_grad_(False)
    restorer = PictureRestorer(network, 4, device)
    lq = torch.rand(1, 3, side, side, generator=generator_at(1)).to(device)
    return partial(restorer.restore_tile, lq, half=half)


def compare(name: str, side: int, rounds: int) -> list[dict[str, Any]]:
    """Time a network with and without remembered masks, and in both precisions."""
    with mock.patch.object(spandrel_networks, 'remember_masks'):
        works = {'plain': work_of(name, side)}
    works['remembered'] = work_of(name, side)
    if torch.cuda.is_available():
        works['half'] = work_of(name, side, half=True)
    times = alternate({key: (work, 1) for key, work in works.items()}, rounds)
    what = f'{name}, {side} px'
    rows = [
        speed_up(f'{what}: masks of every block / once', times['plain'], times['remembered'], None)
    ]
    if 'half' in times:
        rows.append(
            speed_up(f'{what}: single / half precision', times['remembered'], times['half'], None)
        )
    return rows


def main() -> None:
    """Parse the command line and compare."""
    parser = argparse.ArgumentParser(description='Time the restoring of a picture.')
    parser.add_argument('--networks', nargs='+', default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument('--side', type=int, default=120, help='of the input, in pixels')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--json', help='file for the figures')
    args = parser.parse_args()
    rows = [row for name in args.networks for row in compare(name, args.side, args.rounds)]
    report(rows, args.json, **vars(args))


if __name__ == '__main__':
    main()
