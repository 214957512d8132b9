"""Watch over a score that training is to raise: has it fallen below where the run started?"""

import math
from collections.abc import Mapping
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from iqasr.runtime.distributed import Process, mean_over_processes

START = 20
"""Iterations that say where the run started; fewer are not compared with it either."""

TOLERANCE = 2.0
"""Standard errors of the difference from which on a score has fallen."""


class WatchedScore:
    """Compares a score in training with that of the first iterations.

    Batches differ, and so does their score: a mean has fallen where it is lower than the start by
    `TOLERANCE` standard errors of the difference, by the spread of the first iterations.

    Args:
        process: This process; all of them watch together.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.load_state_dict({})

    def add(self, score: Tensor) -> None:
        """Take in the score of an iteration, a scalar on the device; does not wait for it."""
        if len(self.start) < START:
            self.start.append(score)
        else:
            self.total, self.count = self.total + score, self.count + 1

    def read(self) -> list[float]:
        """Return the scores of the start and the sum of the later ones, means over processes."""
        return mean_over_processes(torch.stack([*self.start, self.total])).tolist()

    def compare(self) -> str:
        """Compare the mean since the last comparison with the start (waits for the device).

        Returns:
            What to warn of, once for each fall: after it, the score must first reach the start
            again. Empty for nothing.
        """
        if self.count < START:
            return ''
        *start, total = self.read()
        before, now = mean(start), total / self.count
        error = stdev(start) * math.sqrt(1 / START + 1 / self.count)
        falls = now < before - TOLERANCE * error and not self.has_fallen
        self.has_fallen = falls or (self.has_fallen and now < before)
        window, self.count = self.count, 0
        self.total = torch.zeros_like(self.total)
        if not falls:
            return ''
        return (
            f'has fallen: {now:.4f}, mean of {window} iterations, after {before:.4f} in the first '
            f'{START} (standard error of the difference {error:.4f}). The other terms win. Lower '
            'their weights, raise gradient_ratio or loss_weight, or use another scorer.'
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what an exact continuation needs; all processes call it."""
        *start, total = self.read()
        return {
            'start': start, 'total': total, 'count': self.count, 'has_fallen': self.has_fallen
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`; from an empty one, start here."""
        device = self.process.device
        self.start = [torch.tensor(score, device=device) for score in state.get('start', [])]
        self.total = torch.tensor(state.get('total', 0.0), device=device)
        self.count, self.has_fallen = state.get('count', 0), state.get('has_fallen', False)
