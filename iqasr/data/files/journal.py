"""Text files that grow line by line, and lose no more than the last lines to a killed program."""

import os
from pathlib import Path
from types import TracebackType


def read_complete(path: str | Path) -> str:
    """Read a text file without a last line that was cut short."""
    return _complete(path).decode()


class Journal:
    """Appends lines to a text file; they are kept even if the program is killed right after.

    Args:
        path: The file; made where it does not exist. A last line that was cut short is removed.
    """

    def __init__(self, path: str | Path) -> None:
        if os.path.exists(path):
            os.truncate(path, len(_complete(path)))
        self._file = open(path, 'a', encoding='utf-8', newline='')  # noqa: SIM115 (closed below)

    def __enter__(self) -> 'Journal':
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_empty(self) -> bool:
        """Whether there are no lines yet."""
        return self._file.tell() == 0

    def append(self, text: str) -> None:
        """Append lines, each with its end."""
        self._file.write(text)
        self._file.flush()

    def close(self) -> None:
        """Put everything on the disk and close the file."""
        os.fsync(self._file.fileno())
        self._file.close()


def _complete(path: str | Path) -> bytes:
    content = Path(path).read_bytes()
    return content[: content.rfind(b'\n') + 1]
