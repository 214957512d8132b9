"""What came of each photograph."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from iqasr.enhancement.sources import Examination
from iqasr.runtime.atomic_files import write_text_atomically

COLUMNS = (
    'source', 'status', 'reason', 'groups',
    'width', 'height', 'contrast', 'detail', 'quality', 'fingerprint',
)  # fmt: skip


@dataclass(frozen=True)
class Account:
    """What came of each photograph; all by name.

    Args:
        examined: What is known of those that could be read.
        unreadable: What is wrong with the others.
        left_out: As `iqasr.enhancement.sources.left_out` gives them.
        groups: Names of the groups of candidates of those that were enhanced; none if no patch of
            it is worth training on.
    """

    examined: Mapping[str, Examination]
    unreadable: Mapping[str, str]
    left_out: Mapping[str, tuple[str, str]]
    groups: Mapping[str, Sequence[str]]

    def rows(self) -> Iterator[dict[str, Any]]:
        """List one row of `COLUMNS` per photograph, in order of their names."""
        for name in sorted([*self.examined, *self.unreadable]):
            status, reason = self.status_of(name)
            row = {'source': name, 'status': status, 'reason': reason}
            row['groups'] = len(self.groups.get(name, ()))
            found = asdict(self.examined[name]) if name in self.examined else {}
            yield row | {
                key: f'{value:.4f}' if isinstance(value, float) else value
                for key, value in found.items()
            }

    def status_of(self, name: str) -> tuple[str, str]:
        """Say in a word what came of a photograph, and why."""
        if name in self.unreadable:
            return 'unreadable', self.unreadable[name]
        if name in self.left_out:
            return self.left_out[name]
        if not self.groups[name]:
            return 'no patch', 'no patch has enough contrast and detail'
        return 'enhanced', ''

    def write_csv(self, path: Path) -> None:
        """Write the rows, atomically."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator='\n')
        writer.writeheader()
        writer.writerows(self.rows())
        write_text_atomically(text.getvalue(), path)

    def summary(self) -> str:
        """Count what came of the photographs, in a line."""
        counts = Counter(row['status'] for row in self.rows())
        groups = sum(len(of_one) for of_one in self.groups.values())
        listing = ', '.join(f'{count} {status}' for status, count in counts.most_common())
        photographs = len(self.examined) + len(self.unreadable)
        return f'{photographs} photographs: {listing}. {groups} groups of candidates.'
