"""Guard against score gaming: does the optimised score rise while held-out ones fall?

Every metric is compared with its value on the same images at the start of the run. A change counts
once it exceeds ``tolerance`` standard errors of the mean of these paired differences.

Source:
    None for the rule: written here. Held-out scores that fall while the optimised one rises are the
    known sign of an over-optimised reward (Gao et al. (2023), Scaling laws for reward model
    overoptimization).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from iqasr.metrics import Metric
from iqasr.options.sections import GuardOptions
from iqasr.runtime.atomic_files import read_record, write_json
from iqasr.runtime.errors import OptionError

REMEDY = (
    'Lower loss_weight or gradient_ratio of the quality term, or the rank of lora; or use an '
    'earlier checkpoint'
)


@dataclass(frozen=True)
class Change:
    """How a metric has changed since the start, over the images that had a value both times."""

    start: float
    now: float
    gain: float
    """Mean of the differences, positive if better."""
    error: float
    """Its standard error."""

    @property
    def errors(self) -> float:
        """The gain in standard errors."""
        if self.error == 0:
            return math.copysign(math.inf, self.gain) if self.gain else 0.0
        return self.gain / self.error


Values = Mapping[str, float]
"""Values of a metric by image."""


def change_of(metric: Metric, start: Values, now: Values) -> Change | None:
    """Compare two validations image by image.

    Args:
        metric: Gives the direction.
        start: Values at the start.
        now: Values of the same metric later.

    Returns:
        The change; None with fewer than two images in common.
    """
    common = [name for name in start if name in now]
    if len(common) < 2:
        return None
    before, after = (np.array([values[name] for name in common]) for values in (start, now))
    gains = before - after if metric.lower_better else after - before
    error = gains.std(ddof=1) / math.sqrt(len(gains))
    return Change(*map(float, (before.mean(), after.mean(), gains.mean(), error)))


class Guard:
    """Watches the validations of a run; all it knows is in its history, kept in a file of the run.

    Args:
        options: Section ``val.guard``.
        metrics: The metrics of the validations.
    """

    def __init__(self, options: GuardOptions, metrics: Sequence[Metric]) -> None:
        self.options = options
        by_name = {metric.name: metric for metric in metrics}
        self.optimised = by_name[options.optimised]
        self.held_out = [by_name[name] for name in options.held_out]
        self.watched = [self.optimised, *self.held_out]
        self.needed = options.alarm or len(self.held_out) // 2 + 1
        self.start: dict[str, dict[str, float]] = {}
        """Values at the start: by metric, by image."""
        self.history: list[dict[str, Any]] = []
        """One record for each validation, the start first."""

    # What the history says

    @property
    def iteration(self) -> int:
        """Iteration of the last validation; -1 if there was none."""
        return self.history[-1]['iteration'] if self.history else -1

    @property
    def alarms(self) -> int:
        """Number of alarms in a row up to now."""
        return len(list(takewhile(lambda record: record['alarm'], reversed(self.history))))

    @property
    def stopped(self) -> bool:
        """Whether the run is to end."""
        return self.options.patience is not None and self.alarms >= self.options.patience

    @property
    def best(self) -> dict[str, Any] | None:
        """The record with the highest index after the start; of equal ones the first."""
        later = [record for record in self.history[1:] if record['index'] is not None]
        return max(later, key=lambda record: record['index'], default=None)

    # Keeping it

    def read(self, path: Path, until: int) -> None:
        """Take what `write` wrote, as far as it lies not beyond an iteration.

        A start without one of the metrics watched now is none: the next validation is the start.
        """
        if path.is_file():
            read_record(path, lambda content: self.take(content, until))
        else:
            self.cut_back(until)

    def take(self, content: Mapping[str, Any], until: int) -> None:
        """Take in the content of the file."""
        if all(metric.name in content['start'] for metric in self.watched):
            self.start, self.history = content['start'], content['history']
        self.cut_back(until)

    def write(self, path: Path) -> None:
        """Write to a file, atomically."""
        write_json({'best': self.best, 'start': self.start, 'history': self.history}, path)

    def cut_back(self, until: int) -> None:
        """Forget the validations after an iteration."""
        self.history = [record for record in self.history if record['iteration'] <= until]
        if not self.history:
            self.start = {}

    # Watching

    def update(self, rows: Sequence[Mapping[str, Any]], iteration: int) -> str:
        """Take in a validation; the first one is the start.

        Args:
            rows: One per image, of all sets: ``name``, and the value of each metric.
            iteration: When it was.

        Returns:
            What to log.

        Raises:
            OptionError: If the start tells nothing of a metric.
        """
        self.cut_back(iteration - 1)
        values = {
            metric.name: {r['name']: r[metric.name] for r in rows if np.isfinite(r[metric.name])}
            for metric in self.watched
        }
        if not self.start:
            check_spread(values)
            self.start = values
        found = {m.name: change_of(m, self.start[m.name], values[m.name]) for m in self.watched}
        changes = {name: change for name, change in found.items() if change is not None}
        errors = {name: change.errors for name, change in changes.items()}
        tolerance = self.options.tolerance
        fallen = [m.name for m in self.held_out if errors.get(m.name, 0) < -tolerance]
        risen = errors.get(self.optimised.name, 0) > tolerance
        self.history.append(
            {
                'iteration': iteration,
                'index': self.index(changes),
                'fallen': fallen,
                'alarm': risen and len(fallen) >= self.needed,
                'changes': {name: asdict(change) for name, change in changes.items()},
            }
        )
        return self.report(changes)

    def index(self, changes: Mapping[str, Change]) -> float | None:
        """Average the gains of the held-out metrics, each in standard deviations at the start.

        Returns:
            The index: 0 at the start, higher is better; None if one of them has no value.
        """
        names = [metric.name for metric in self.held_out]
        if any(name not in changes for name in names):
            return None
        return float(np.mean([changes[n].gain / spread(self.start[n]) for n in names]))

    def report(self, changes: Mapping[str, Change]) -> str:
        """Put the last record into words, with the figures of every watched metric."""
        record, best = self.history[-1], self.best
        index, alarm, remedy = record['index'], '', ''
        if record['alarm']:
            limit = f' of {self.options.patience}' if self.options.patience else ''
            alarm = (
                f'ALARM {self.alarms}{limit}: {self.optimised.name} has become better, '
                f'{len(record["fallen"])} of {len(self.held_out)} held-out metrics worse. '
            )
            place = f' (models/net_g_best.pth is of {best["iteration"]})' if best else ''
            remedy = f' {REMEDY}{place}.'
        held_out = 'no held-out index' if index is None else f'held-out index {index:+.3f}'
        if best is not None:
            verdict = '' if best['index'] > 0 else ', not better than the start'
            held_out += f' (best {best["index"]:+.3f} @ {best["iteration"]}{verdict})'
        figures = [m.name + m.arrow + figures_of(changes.get(m.name)) for m in self.watched]
        return (
            f'Guard @ {record["iteration"]}: {alarm}{held_out}. From the start, in standard '
            f'errors, + is better: {", ".join(figures)}.{remedy}'
        )

    def explain_stop(self) -> str:
        """Say why the run has ended, and how it could go on."""
        return (
            f'The guard has ended the run at iteration {self.iteration}, after {self.alarms} '
            f'alarms in a row. {REMEDY}. To go on all the same, raise val.guard.patience or remove '
            'it, and start with --auto_resume.'
        )


def figures_of(change: Change | None) -> str:
    """Print a change."""
    if change is None:
        return ' has no value'
    return f' {change.start:.4f} -> {change.now:.4f} ({change.errors:+.1f})'


def spread(values: Values) -> float:
    """Compute the standard deviation over the images; NaN with fewer than two."""
    return float(np.std(list(values.values()), ddof=1)) if len(values) > 1 else math.nan


def check_spread(values: Mapping[str, Values]) -> None:
    """Make sure that every metric tells images apart.

    Raises:
        OptionError: If one has no value, or the same value, on all images but one.
    """
    silent = [name for name, by_image in values.items() if not spread(by_image) > 0]
    if silent:
        raise OptionError(
            f'val.guard: {", ".join(silent)} must have different values on at least two validation '
            'images. Add images (large enough for the metric), or watch another metric.'
        )
