"""Time whole training iterations of the paper's RRDB, data included: what a choice online costs.

Networks, losses, degradation and sizes are those of options/train/rrdb_amo_x4.yml, data are
candidates in a raw store. Weights are random. On a GPU, it also tells how much of the time the GPU
is busy.

Usage:
    python scripts/benchmarks/gpu_run.py --amp bf16 --speed channels_last --json gpu_run.json
"""

import argparse
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gan_models import with_random_features
from photo_sets import write_candidates
from ratios import report_measured, write_json

from iqasr.checking.check import load_options
from iqasr.data.stores.raw_store import create_raw_store
from iqasr.runtime.distributed import this_process
from iqasr.training.run import TrainingRun

logger = logging.getLogger(__name__)

OPTIONS = Path(__file__).resolve().parents[2] / 'options/train/rrdb_amo_x4.yml'
MUSIQ = {'type': 'PyIQAScorer', 'metric': 'musiq', 'options': {'pretrained': False}}
KINDS: dict[str, dict[str, Any]] = {
    'uniform': {'sampling': {'type': 'UniformSampler'}, 'quality': None},
    'ranker': {'quality': {'scorer': {'type': 'RankerScorer'}}},
    'nima': {'quality': {'scorer': {'type': 'NIMAScorer'}}},
    'musiq': {'quality': {'scorer': MUSIQ}},
}
"""Training sets by how they choose; with random weights MUSIQ is as slow as with its own."""


def wait() -> None:
    """Wait for the device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class Iterations:
    """A training run that is carried on a few iterations at a time.

    Args:
        stack: Ends its workers.
        folder: Where its files would go.
        name: Of `KINDS`.
        data: What is changed in the section of the training set.
        overrides: Of other options.
    """

    def __init__(
        self, stack: ExitStack, folder: Path, name: str, data: dict[str, Any], *overrides: str
    ) -> None:
        overrides = (f'name={name}', 'path:pretrain_network_g=null', *overrides)
        options = load_options(OPTIONS, overrides)
        options.datasets['train'] |= data | KINDS[name]
        del options.datasets['val']
        run = TrainingRun(options, this_process(use_gpu=True), folder / 'experiments' / name)
        self.run, self.stream = run, stack.enter_context(run.stream())
        self.batch = next(self.stream)

    def read(self, count: int) -> float:
        """Carry out iterations on new batches; returns the seconds of one."""
        return self.timed(count, lambda: next(self.stream))

    def hold(self, count: int) -> float:
        """Carry out iterations on the first batch; returns the seconds of one."""
        return self.timed(count, lambda: self.batch)

    def timed(self, count: int, batch: Callable[[], Any]) -> float:
        """Carry out iterations; returns the seconds of one."""
        wait()
        start = time.perf_counter()
        for _ in range(count):
            self.run.iterate(batch())
        wait()
        return (time.perf_counter() - start) / count


def busy_share(iterations: Iterations, count: int) -> float:
    """Measure in which share of the time the GPU computes or copies."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        seconds = iterations.read(count) * count
    spans = [
        (event.time_range.start, event.time_range.end)
        for event in profiler.events()
        if event.device_type == torch.autograd.DeviceType.CUDA
    ]
    return covered(spans) / 1e6 / seconds


def covered(spans: list[tuple[float, float]]) -> float:
    """Measure the union of intervals."""
    total, reached = 0.0, float('-inf')
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def measure(kinds: dict[str, Iterations], count: int, rounds: int) -> dict[str, float]:
    """Time all kinds in turn, and the first one on a held batch, too; medians."""
    first = next(iter(kinds.values()))
    works = {name: iterations.read for name, iterations in kinds.items()}
    works['held'] = first.hold
    times: dict[str, list[float]] = {name: [] for name in works}
    for name, work in works.items():
        logger.info('%s: first two %.2f s', name, 2 * work(2))
    for number in range(rounds):
        for name, work in works.items():
            times[name].append(work(count))
            logger.info('round %d, %s: %.1f ms', number + 1, name, 1e3 * times[name][-1])
    return {name: statistics.median(values) for name, values in times.items()}


def rows_of(seconds: dict[str, float], busy: float | None) -> list[dict[str, Any]]:
    """Write what was measured as rows of a table."""

    def row(what: str, measured: str, target: str = 'reported') -> dict[str, Any]:
        return {'what': what, 'measured': measured, 'target': target}

    uniform = seconds['uniform']
    rows = [row('iteration, uniform sampling', f'{1e3 * uniform:.1f} ms')]
    rows.append(
        row(
            'the same on one batch that is held: share of the time',
            f'{seconds["held"] / uniform:.3f}',
        )
    )
    if busy is not None:
        rows.append(row('share of the time in which the GPU is busy', f'{busy:.3f}', '>= 0.9'))
    for name in set(seconds) & set(KINDS) - {'uniform'}:
        ratio = f'{seconds[name] / uniform:.2f} x ({1e3 * seconds[name]:.1f} ms)'
        limit = '<= 1.25 x' if name == 'nima' else 'reported'
        rows.append(row(f'iteration, AMO online by {name}, against uniform', ratio, limit))
    return rows


def main() -> None:
    """Parse the command line, make the data in a temporary folder, and time."""
    parser = argparse.ArgumentParser(description='Time whole iterations.')
    parser.add_argument('--kinds', nargs='+', default=list(KINDS), choices=KINDS)
    parser.add_argument('--groups', type=int, default=24, help='groups of five candidates')
    parser.add_argument('--image', type=int, default=512, help='their side, in pixels')
    parser.add_argument('--crop', type=int, default=256)
    parser.add_argument('--batch', type=int, default=12)
    parser.add_argument('--workers', type=int, default=6)
    parser.add_argument('--amp', default='none', choices=['none', 'bf16', 'fp16'])
    parser.add_argument('--speed', default='plain', help='train.speed')
    parser.add_argument('--iterations', type=int, default=20, help='of each kind per round')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--json', help='file for the figures')
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
    torch.backends.cudnn.benchmark = True  # as the trainer has it
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack, with_random_features():
        folder = Path(temporary)
        write_candidates(folder / 'set', args.groups, args.image)
        create_raw_store(str(folder / 'set'), str(folder / 'set.raw'))
        data = {
            'dataroot_gt': str(folder / 'set.raw'),
            'gt_size': args.crop,
            'batch_size_per_gpu': args.batch,
            'num_worker_per_gpu': args.workers,
        }
        speed = f'train:amp={args.amp}', f'train:speed={args.speed}'
        kinds = {
            name: Iterations(stack, folder, name, data, *speed)
            for name in dict.fromkeys(['uniform', *args.kinds])
        }
        seconds = measure(kinds, args.iterations, args.rounds)
        write_json(rows_of(seconds, None), args.json)  # in case that profiling fails
        on_gpu = torch.cuda.is_available()
        busy = busy_share(kinds['uniform'], args.iterations) if on_gpu else None
    report_measured(rows_of(seconds, busy), args.json, **vars(args), seconds=seconds)


if __name__ == '__main__':
    main()
