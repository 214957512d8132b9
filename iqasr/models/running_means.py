"""Means of logged values, kept on the device until somebody asks."""

from collections.abc import Mapping

from torch import Tensor

from iqasr.runtime.distributed import Process
from iqasr.runtime.weights import non_finite_names


class RunningMeans:
    """Means of named scalars since they were last taken."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Take in the values of an iteration."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def non_finite(self) -> list[str]:
        """Name the values that were NaN or infinite since they were last taken."""
        return non_finite_names(self.sums)

    def take(self, process: Process) -> dict[str, float]:
        """Return the means over iterations and processes, and start anew (waits for the device)."""
        means = {name: total / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return {name: float(value) for name, value in process.mean(means).items()}
