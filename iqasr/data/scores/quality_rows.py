"""The lines of a quality table: reading, appending, and writing whole files."""

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from iqasr.data.files.journal import read_complete
from iqasr.runtime.atomic_files import write_text_atomically


class QualityRow(NamedTuple):
    """One line of a quality table; the fields are its columns."""

    key: str
    candidate: str
    """Its entry in `Group.names`."""
    scorer: str
    version: str
    content_hash: str
    """Hash of the candidate's image file."""
    quality: float
    """Higher is better; NaN where the candidate got no score."""
    range_low: float
    range_high: float


HEADER = ','.join(QualityRow._fields) + '\n'


def read_rows(path: str | Path) -> list[QualityRow]:
    """Read the lines of a table; a last line that was cut short is left out.

    Args:
        path: The CSV file.

    Raises:
        ValueError: If it is no quality table, or a number is none that a scorer gives; the message
            names the line.
    """
    text = read_complete(path).removeprefix('\ufeff')  # a spreadsheet puts a byte-order mark there
    lines = list(csv.reader(io.StringIO(text, newline='')))
    if lines and lines[0] != list(QualityRow._fields):
        raise ValueError(f'{path}: not a quality table; its first line should be {HEADER.strip()}.')
    return [_parse(path, number, line) for number, line in enumerate(lines[1:], start=2)]


def by_group(rows: Iterable[QualityRow]) -> dict[str, dict[str, QualityRow]]:
    """Sort the rows of one scorer by key and candidate; later rows win."""
    by_key: dict[str, dict[str, QualityRow]] = {}
    for row in rows:
        by_key.setdefault(row.key, {})[row.candidate] = row
    return by_key


def _parse(path: str | Path, number: int, line: list[str]) -> QualityRow:
    try:
        key, candidate, scorer, version, digest, quality, low, high = line
        numbers = float(quality), float(low), float(high)
        if math.isinf(numbers[0]) or math.isnan(numbers[1]) or math.isnan(numbers[2]):
            raise ValueError(f'quality {quality}, range {low} to {high}')
    except ValueError as error:
        raise ValueError(
            f'{path}: line {number} is no line of a quality table ({error}). '
            'Remove the line, and score again.'
        ) from error
    return QualityRow(key, candidate, scorer, version, digest, *numbers)


def write_rows(path: Path, rows: Iterable[QualityRow]) -> None:
    """Write a table; `path` holds either its old content or all of the new one.

    Args:
        path: The CSV file.
        rows: Its lines.

    Raises:
        CheckpointError: If it cannot be written.
    """
    write_text_atomically(HEADER + as_csv(rows), path)


def as_csv(rows: Iterable[QualityRow]) -> str:
    """Write rows as lines; floats are written so that they are read back exactly."""
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows(rows)
    return text.getvalue()
