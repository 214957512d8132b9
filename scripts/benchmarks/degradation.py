"""Compare the second-order degradation of a batch with that of BasicSR's ``RealESRGANModel``.

Both sharpen, degrade, crop and exchange with their pool of pairs, on the GPU if there is one.
BasicSR's blur kernels are given; ours are drawn, which is part of the time.

Usage:
    OMP_NUM_THREADS=1 python scripts/benchmarks/degradation.py --json degradation.json
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import iqasr  # isort: skip  # noqa: F401 - first: it lets basicsr be imported

from basicsr.models.realesrgan_model import RealESRGANModel
from basicsr.utils import DiffJPEG, USMSharp
from ratios import alternate, report, speed_up

from iqasr.models.sample_preparation import SamplePreparation
from iqasr.runtime.distributed import this_process
from iqasr.runtime.randomness import generator_at

SCALE = 4
STOCK = {
    'resize_prob': [0.2, 0.7, 0.1], 'resize_range': [0.15, 1.5], 'gray_noise_prob': 0.4,
    'gaussian_noise_prob': 0.5, 'noise_range': [1, 30], 'poisson_scale_range': [0.05, 3],
    'jpeg_range': [30, 95], 'second_blur_prob': 0.8, 'resize_prob2': [0.3, 0.4, 0.3],
    'resize_range2': [0.3, 1.2], 'gray_noise_prob2': 0.4, 'gaussian_noise_prob2': 0.5,
    'noise_range2': [1, 25], 'poisson_scale_range2': [0.05, 2.5], 'jpeg_range2': [30, 95],
    'scale': SCALE,
}  # fmt: skip
"""Real-ESRGAN's, which are our defaults."""


class StockDegradation(RealESRGANModel):
    """BasicSR's model without its networks."""

    def __init__(self, gt_size: int, queue_size: int) -> None:
        self.device = this_process(use_gpu=True).device
        self.opt = STOCK | {'gt_size': gt_size}
        self.is_train, self.queue_size = True, queue_size
        jpeg = DiffJPEG(differentiable=False).to(self.device)
        # With torch of today, `filter2D` refuses what lies in memory as its output does.
        self.jpeger = lambda image, quality: jpeg(image, quality=quality).contiguous()
        self.usm_sharpener = USMSharp().to(self.device)
        # Made here, as BasicSR makes them on a GPU only.
        sizes = [(queue_size, 3, side, side) for side in (gt_size // SCALE, gt_size)]
        self.queue_lr, self.queue_gt = (torch.zeros(s, device=self.device) for s in sizes)
        self.queue_ptr = 0


def stock_work(count: int, side: int, crop: int, queue: int) -> Callable[[], Any]:
    """Prepare a batch as BasicSR does, with kernels that blur little."""
    model = StockDegradation(crop, queue)
    kernels = torch.rand(count, 21, 21, generator=generator_at(2))
    kernels /= kernels.sum((1, 2), keepdim=True)
    data = {'gt': torch.rand(count, 3, side, side, generator=generator_at(1))}
    data |= dict.fromkeys(('kernel1', 'kernel2', 'sinc_kernel'), kernels)
    return lambda: model.feed_data(data)


def our_work(count: int, side: int, crop: int, queue: int) -> Callable[[], Any]:
    """Prepare a batch as ours does."""
    section = {
        'sampling': {'type': 'UniformSampler'}, 'degradation': {'type': 'SecondOrderDegradation'},
        'gt_size': crop, 'queue_size': queue, 'batch_size_per_gpu': count,
    }  # fmt: skip
    process = this_process(use_gpu=True)
    sharpen = ['degraded', 'pixel']
    preparation = SamplePreparation(section, scale=SCALE, sharpen=sharpen, process=process, seed=0)
    original = torch.rand(count, 3, side, side, generator=generator_at(1)).mul(255).byte()
    data = {
        'original': original, 'gt': original[..., :crop, :crop].contiguous(),
        'offset': torch.zeros(count, 2, dtype=torch.long),
        'quality': torch.zeros(count, 1), 'choice': torch.zeros(count, dtype=torch.long),
        'perplexity': torch.ones(count),
    }  # fmt: skip
    places = iter(range(10**9))

    def work() -> None:
        pairs, _ = preparation(data, next(places))
        preparation.sharpen_gt(pairs)

    return work


def main() -> None:
    """Parse the command line and compare."""
    parser = argparse.ArgumentParser(description='Time the degradation of a batch.')
    parser.add_argument('--batch', type=int, default=2)
    parser.add_argument('--side', type=int, default=400, help='of the originals, in pixels')
    parser.add_argument('--crop', type=int, default=256)
    parser.add_argument('--queue', type=int, default=8)
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--steps', type=int, default=1, help='batches of each per round')
    parser.add_argument('--json', help='file for the figures')
    args = parser.parse_args()
    settings = args.batch, args.side, args.crop, args.queue
    works = {'plain': stock_work(*settings), 'ours': our_work(*settings)}
    times = alternate({name: (work, args.steps) for name, work in works.items()}, args.rounds)
    what = f'degradation of {args.batch} images of {args.side} px: BasicSR / iqasr'
    report([speed_up(what, times['plain'], times['ours'], None)], args.json, **vars(args))


if __name__ == '__main__':
    main()
