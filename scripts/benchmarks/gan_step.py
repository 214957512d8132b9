"""Compare training steps with BasicSR's ``SRGANModel``: L1, perceptual and adversarial loss.

All take the same batch; features and discriminator have their full sizes and random weights.

Usage:
    OMP_NUM_THREADS=1 python scripts/benchmarks/gan_step.py --rounds 7 --json gan_step.json
    python scripts/benchmarks/gan_step.py --networks SwinIR-M --versions plain channels_last+bf16 \
        plain+bf16+compiled --size 64 --batch 16 --steps 5
"""

import argparse
import gc
import logging
import math
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gan_models import NETWORKS, our_step, stock_step, with_random_features
from ratios import alternate, report, speed_up, write_json


def compare(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Time a network's steps, BasicSR's and ours in turn; one row for each version."""
    shape, versions = (args.batch, args.size, args.loss), args.versions
    works = {'BasicSR': (stock_step(name, *shape), args.steps)}
    works |= {version: (our_step(name, *shape, version), args.steps) for version in versions}
    times = alternate(works, args.rounds, args.limit)
    return [
        speed_up(f'{name}: BasicSR / {version}', times['BasicSR'], times[version], None)
        for version in versions
    ]


def main() -> None:
    """Parse the command line and print a Markdown table."""
    parser = argparse.ArgumentParser(description="Time training steps against BasicSR's.")
    parser.add_argument('--networks', nargs='+', default=list(NETWORKS)[:2], choices=NETWORKS)
    parser.add_argument(
        '--versions',
        nargs='+',
        default=['plain', 'auto', 'auto+bf16'],
        help='SPEED[+AMP][+tf32][+compiled]: train.speed, train.amp, ...',
    )
    parser.add_argument('--loss', default='GANLoss', choices=['GANLoss', 'RelativisticGANLoss'])
    parser.add_argument('--size', type=int, default=24, help='side of the low-quality crop')
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--steps', type=int, default=1, help='steps of each per round')
    parser.add_argument('--limit', type=float, default=math.inf, help='seconds for a network')
    parser.add_argument('--json', help='file to write the figures to')
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
    torch.backends.cudnn.benchmark = True  # as both trainers have it
    rows = []
    with with_random_features():
        for name in args.networks:
            rows += compare(name, args)
            write_json(rows, args.json, **vars(args))
            gc.collect()  # models refer to themselves
            torch.cuda.empty_cache()
    report(rows, args.json, **vars(args))


if __name__ == '__main__':
    main()
