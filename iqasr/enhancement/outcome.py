"""The outcome for each photograph: enhanced, left out or unreadable."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from iqasr.enhancement.selection import PhotographMeasures
from iqasr.runtime.atomic_files import write_csv

OUTCOME_COLUMNS = (
    'source', 'status', 'reason', 'groups',
    'width', 'height', 'contrast', 'detail', 'quality', 'fingerprint',
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """The outcome for each photograph, by name.

    Args:
        measures: Measures of the photographs that could be read.
        unreadable: Errors of the others.
        left_out: Status and reason, as from `iqasr.enhancement.selection.select_left_out`.
        groups: Names of the groups of candidates of each enhanced photograph; empty if it has no
            patch worth training on.
    """

    measures: Mapping[str, PhotographMeasures]
    unreadable: Mapping[str, str]
    left_out: Mapping[str, tuple[str, str]]
    groups: Mapping[str, Sequence[str]]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one row of `OUTCOME_COLUMNS` per photograph, sorted by name."""
        for name in sorted([*self.measures, *self.unreadable]):
            status, reason = self.status_of(name)
            row = {'source': name, 'status': status, 'reason': reason}
            row['groups'] = len(self.groups.get(name, ()))
            measures = asdict(self.measures[name]) if name in self.measures else {}
            yield row | {
                key: f'{value:.4f}' if isinstance(value, float) else value
                for key, value in measures.items()
            }

    def status_of(self, name: str) -> tuple[str, str]:
        """Status of a photograph, in a word or two, and the reason for it."""
        if name in self.unreadable:
            return 'unreadable', self.unreadable[name]
        if name in self.left_out:
            return self.left_out[name]
        if not self.groups[name]:
            return 'no patch', 'no patch has enough contrast and detail'
        return 'enhanced', ''

    def write(self, path: Path) -> None:
        """Write the rows as CSV."""
        write_csv(OUTCOME_COLUMNS, self.rows(), path)

    def summary(self) -> str:
        """Summarise the numbers in one line."""
        counts = Counter(row['status'] for row in self.rows())
        groups = sum(map(len, self.groups.values()))
        listing = ', '.join(f'{count} {status}' for status, count in counts.most_common())
        return f'{counts.total()} photographs: {listing}. {groups} groups of candidates.'
