"""What is done of a long piece of work, so that it is not done again after a kill."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iqasr.runtime.atomic_files import write_text_atomically
from iqasr.runtime.distributed import Process

Entry = dict[str, Any]


class Ledger:
    """Entries by name, of this and earlier runs, of any number of processes.

    Each process appends to a file of its own beside the ledger, a line of JSON at a time; a line
    that was cut short is not read. `close` makes one file of all, the same whoever did the work.

    Args:
        path: The ledger, in a folder that exists.
        process: This process among those that share the work. All make their ledger together.
    """

    def __init__(self, path: Path, process: Process) -> None:
        self.path, self.process = path, process
        self.part = path.with_name(f'{path.name}.rank{process.rank}')
        self.entries: dict[str, Entry] = {}
        for file in (path, *self.parts()):
            for line in complete_lines(file):
                name, entry = json.loads(line)
                self.entries[name] = entry
        self._own: dict[str, Entry] = {}
        process.barrier()  # nobody writes before all have read
        if self.part.exists():
            os.truncate(self.part, self.part.read_bytes().rfind(b'\n') + 1)

    def parts(self) -> list[Path]:
        """List what unfinished runs left, of any number of processes."""
        return sorted(self.path.parent.glob(f'{self.path.name}.rank*'))

    def add(self, name: str, entry: Entry) -> None:
        """Note something as done, on the disk when this returns."""
        self._own[name] = entry
        with self.part.open('a', encoding='utf-8') as file:
            file.write(json.dumps([name, entry]) + '\n')
            file.flush()
            os.fsync(file.fileno())

    def share(self) -> Mapping[str, Entry]:
        """Tell all processes what the others have done; returns the entries of all."""
        for own in self.process.gather(self._own):
            self.entries |= own
        return self.entries

    def close(self) -> None:
        """Write the shared entries, sorted by name, as one file."""
        if self.process.is_main:
            lines = [json.dumps([name, self.entries[name]]) for name in sorted(self.entries)]
            write_text_atomically(''.join(f'{line}\n' for line in lines), self.path)
            for part in self.parts():
                part.unlink()
        self.process.barrier()


def complete_lines(file: Path) -> list[str]:
    """Read the lines of a file, if there is one, that were written whole."""
    if not file.exists():
        return []
    text = file.read_text(encoding='utf-8')
    return text[: text.rfind('\n') + 1].splitlines()
