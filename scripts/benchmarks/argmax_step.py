"""Compare training iterations that choose uniformly, by a map, and by scoring online, as a table.

Usage:
    OMP_NUM_THREADS=1 python scripts/benchmarks/argmax_step.py --rounds 15 --json argmax_step.json
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from photo_sets import write_candidates
from ratios import alternate, cost, report

from iqasr.checking.check import load_options
from iqasr.data.scores.score_map import score_map
from iqasr.data.stores.raw_store import create_raw_store
from iqasr.quality import RankerScorer
from iqasr.runtime.distributed import Process
from iqasr.training.run import TrainingRun

OPTIONS = Path(__file__).resolve().parents[2] / 'options/train/compact_amo_x4.yml'
ONLINE = {
    'ranker': {'type': 'RankerScorer'},
    'musiq': {'type': 'PyIQAScorer', 'metric': 'musiq', 'options': {'pretrained': False}},
}
"""Scorers; with random weights MUSIQ is as slow as with its own."""


def iteration(stack: ExitStack, folder: Path, name: str, data: dict[str, Any]) -> Callable[[], Any]:
    """Prepare a training like the quickstart's AMO; returns one iteration, data included."""
    options = load_options(OPTIONS, (f'name={name}',))
    options.datasets['train'] |= data
    del options.datasets['val']
    run = TrainingRun(options, Process(), folder / 'experiments' / name)
    stream = stack.enter_context(run.stream())
    return lambda: run.iterate(next(stream))


def main() -> None:
    """Parse the command line, make the data in a temporary folder, and compare."""
    parser = argparse.ArgumentParser(description='Time the choice among candidates.')
    parser.add_argument('--groups', type=int, default=10, help='groups of five candidates')
    parser.add_argument('--crop', type=int, default=128)
    parser.add_argument('--stride', type=int, default=192)
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--slow_rounds', type=int, default=2, help='rounds with MUSIQ')
    parser.add_argument('--json', help='file for the figures')
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        write_candidates(folder / 'set', args.groups, 512)
        create_raw_store(str(folder / 'set'), str(folder / 'set.raw'))
        made = score_map(
            str(folder / 'set.raw'), RankerScorer(), crop=args.crop, stride=args.stride
        )
        data = {
            'dataroot_gt': str(folder / 'set.raw'),
            'gt_size': args.crop,
            'batch_size_per_gpu': args.batch,
            'num_worker_per_gpu': 0,
        }
        kinds = {
            'uniform': {'sampling': {'type': 'UniformSampler'}, 'quality': None},
            'map': {'quality': {'map': str(made)}},
        }
        kinds |= {name: {'quality': {'scorer': scorer}} for name, scorer in ONLINE.items()}
        works = {
            name: (iteration(stack, folder, name, data | own), 1) for name, own in kinds.items()
        }
        musiq = works.pop('musiq')
        seconds = alternate(works, args.rounds)
        slow = alternate({'map': works['map'], 'musiq': musiq}, args.slow_rounds)
    rows = [
        cost('iteration: uniform / argmax by map', seconds['uniform'], seconds['map'], 1.03),
        cost('iteration: argmax by map / online, ranker', seconds['map'], seconds['ranker'], None),
        cost('iteration: argmax by map / online, MUSIQ', slow['map'], slow['musiq'], None),
    ]
    report(rows, args.json, **vars(args))


if __name__ == '__main__':
    main()
