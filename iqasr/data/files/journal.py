"""Text files that grow line by line, and lose no more than the last lines to a killed program."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from iqasr.runtime.errors import DataError


def read_complete(path: str | Path) -> str:
    """Read a text file without a last line that was cut short; empty if there is none.

    Raises:
        DataError: If it is no text in UTF-8.
    """
    if not os.path.exists(path):
        return ''
    content = Path(path).read_bytes()
    try:
        return content[: content.rfind(b'\n') + 1].decode()
    except UnicodeDecodeError as error:
        raise DataError(f'{path}: is no text in UTF-8 ({error}). Save or make it again.') from error


@contextmanager
def open_journal(path: str | Path, header: str = '') -> Iterator[TextIO]:
    """Open a text file for lines to be written at its end.

    What is written is kept even if the program is killed right after, and on the disk at the end.

    Args:
        path: The file; made where it does not exist. A last line that was cut short is removed.
        header: First line, with its end, of a file that has none yet.
    """
    complete = read_complete(path)
    with open(path, 'a', buffering=1, encoding='utf-8', newline='') as file:
        file.truncate(len(complete.encode()))
        file.write('' if complete else header)
        try:
            yield file
        finally:
            os.fsync(file.fileno())


def part_of(path: Path, rank: int) -> Path:
    """Name the journal of a process, beside the file that is made of those of all processes."""
    return path.with_name(f'{path.name}.rank{rank}')


def parts_of(path: Path) -> list[Path]:
    """List the journals that this and earlier runs left, of any number of processes."""
    prefix = f'{path.name}.rank'
    return sorted(part for part in path.parent.iterdir() if part.name.startswith(prefix))
