"""The lines of a quality table: reading, appending, and writing whole files."""

import csv
import hashlib
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class QualityRow(NamedTuple):
    """One line of a quality table; the fields are its columns."""

    key: str
    candidate: str
    """What `Group.names` calls it."""
    scorer: str
    version: str
    content_hash: str
    """Of the candidate's image file."""
    quality: float
    """Higher is better; NaN where the candidate got no score."""
    range_low: float
    range_high: float


def content_hash(data: bytes) -> str:
    """Hash an image file: what `QualityRow.content_hash` holds."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def read_rows(path: str | Path) -> list[QualityRow]:
    """Read the lines of a table; a last line that was cut short is left out.

    Args:
        path: The CSV file.

    Raises:
        ValueError: If it is no quality table; the message names the line.
    """
    with open(path, encoding='utf-8', newline='') as file:
        text = file.read()
    lines = list(csv.reader(io.StringIO(text[: text.rfind('\n') + 1])))
    if lines and lines[0] != list(QualityRow._fields):
        raise ValueError(
            f'{path}: not a quality table; its first line should be {",".join(QualityRow._fields)}.'
        )
    return [_parse(path, number, line) for number, line in enumerate(lines[1:], start=2)]


def _parse(path: str | Path, number: int, line: list[str]) -> QualityRow:
    try:
        key, candidate, scorer, version, digest, quality, low, high = line
        numbers = float(quality), float(low), float(high)
    except ValueError as error:
        raise ValueError(
            f'{path}: line {number} is no line of a quality table ({error}). '
            'Remove the line, and score again.'
        ) from error
    return QualityRow(key, candidate, scorer, version, digest, *numbers)


class RowWriter:
    """Appends lines to a table, so that a killed program loses no more than the last ones.

    Floats are written so that they are read back exactly. A last line that was cut short is
    removed.

    Args:
        path: The CSV file; made with its header where it does not exist.
    """

    def __init__(self, path: Path) -> None:
        if path.exists():
            os.truncate(path, path.read_bytes().rfind(b'\n') + 1)
        self._file = open(path, 'a', encoding='utf-8', newline='')  # noqa: SIM115 (closed below)
        if self._file.tell() == 0:
            self._append([QualityRow._fields])

    def write(self, rows: Iterable[QualityRow]) -> None:
        """Append rows, at once."""
        self._append(rows)

    def _append(self, lines: Iterable[Iterable[object]]) -> None:
        csv.writer(self._file, lineterminator='\n').writerows(lines)
        self._file.flush()

    def close(self) -> None:
        """Put everything on the disk and close the file."""
        os.fsync(self._file.fileno())
        self._file.close()


def write_rows(path: Path, rows: Iterable[QualityRow]) -> None:
    """Write a table; `path` holds either its old content or all of the new one.

    Args:
        path: The CSV file.
        rows: Its lines.
    """
    temporary = path.with_name(f'.{path.name}.partial')
    temporary.unlink(missing_ok=True)
    writer = RowWriter(temporary)
    writer.write(rows)
    writer.close()
    temporary.replace(path)
