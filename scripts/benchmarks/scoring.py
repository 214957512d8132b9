"""Compare scoring by MUSIQ as pyiqa computes it and as iqasr does, with the same weights.

Usage:
    OMP_NUM_THREADS=1 python scripts/benchmarks/scoring.py --rounds 7 --json scoring.json
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyiqa  # noqa: TID253 - what is compared with
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from photo_sets import pieces
from ratios import alternate, report, speed_up

from iqasr.quality import PyIQAScorer

RANDOM = {'pretrained': None}
"""Weights by chance: as slow as its own."""


def gradient_of(score: Callable[[Tensor], Tensor], crops: Tensor) -> Tensor:
    """Differentiate scores by the crops, as direct optimisation does."""
    crops = crops.clone().requires_grad_()
    score(crops).sum().backward()
    return crops.grad


def compare(count: int, crop: int, rounds: int) -> list[dict[str, Any]]:
    """Time scoring with pyiqa's metric and with the scorer.

    Raises:
        RuntimeError: If their scores differ by more than 1e-4.
    """
    scorer = PyIQAScorer('musiq', options=RANDOM)
    plain = pyiqa.create_metric('musiq', device='cpu', **RANDOM)
    loss = pyiqa.create_metric('musiq', device='cpu', as_loss=True, **RANDOM)
    for metric in (plain, loss):
        metric.net.load_state_dict(scorer._network.state_dict())
    crops = torch.from_numpy(np.stack(list(pieces(count, crop, crop)))).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        difference = (plain(crops).flatten() - scorer(crops)).abs().max().item()
        if difference > 1e-4:
            raise RuntimeError(f'the scores differ by {difference:.1g}')
        works = {
            'loop': (lambda: [plain(image[None]) for image in crops], 1),
            'batch': (lambda: plain(crops), 1),
            'ours': (lambda: scorer(crops), 1),
        }
        seconds = alternate(works, rounds)
    few = crops[: max(1, count // 4)]
    slow = {
        'plain': (lambda: gradient_of(loss, few), 1),
        'ours': (lambda: gradient_of(scorer, few), 1),
    }
    gradient = alternate(slow, rounds)
    what = f'MUSIQ, {count} crops of {crop} px: pyiqa'
    return [
        speed_up(f'{what}, one by one / iqasr', seconds['loop'], seconds['ours'], 3),
        speed_up(f'{what}, as a batch / iqasr', seconds['batch'], seconds['ours'], 1.5),
        speed_up(
            f'with gradient, {len(few)} crops: pyiqa as a loss / iqasr',
            gradient['plain'],
            gradient['ours'],
            None,
        ),
    ]


def main() -> None:
    """Parse the command line and compare."""
    parser = argparse.ArgumentParser(description='Time scoring by MUSIQ.')
    parser.add_argument('--crops', type=int, default=8)
    parser.add_argument('--size', type=int, default=256, help='their side, in pixels')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--json', help='file for the figures')
    args = parser.parse_args()
    torch.set_num_threads(1)
    report(compare(args.crops, args.size, args.rounds), args.json, **vars(args))


if __name__ == '__main__':
    main()
