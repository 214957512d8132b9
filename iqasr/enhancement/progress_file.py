"""A file of finished work, so that a killed run resumes."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iqasr.runtime.atomic_files import write_text_atomically
from iqasr.runtime.distributed import Process


class ProgressFile:
    """Results by name, of this and earlier runs, from any number of processes.

    Each process appends lines of JSON to a file of its own beside `path`; an incomplete last line
    is ignored. `close` merges them into one file, which does not depend on who did the work.

    Args:
        path: The merged file, in an existing folder.
        process: This process among those that share the work. All construct it together.
    """

    def __init__(self, path: Path, process: Process) -> None:
        self.path, self.process = path, process
        self.part = path.with_name(f'{path.name}.rank{process.rank}')
        self.results: dict[str, dict[str, Any]] = {}
        for file in (path, *self.parts()):
            for line in complete_lines(file):
                name, result = json.loads(line)
                self.results[name] = result
        self._own: dict[str, dict[str, Any]] = {}
        process.barrier()  # no process writes before all have read
        if self.part.exists():
            os.truncate(self.part, self.part.read_bytes().rfind(b'\n') + 1)

    def parts(self) -> list[Path]:
        """List the files that unfinished runs left, of any number of processes."""
        return sorted(self.path.parent.glob(f'{self.path.name}.rank*'))

    def add(self, name: str, result: dict[str, Any]) -> None:
        """Record a result; it is on the disk when this returns."""
        self._own[name] = result
        with self.part.open('a', encoding='utf-8') as file:
            file.write(json.dumps([name, result]) + '\n')
            file.flush()
            os.fsync(file.fileno())

    def share(self) -> Mapping[str, dict[str, Any]]:
        """Exchange the new results between all processes; returns all results."""
        for own in self.process.gather(self._own):
            self.results |= own
        return self.results

    def close(self) -> None:
        """Write the shared results, sorted by name, into one file."""
        if self.process.is_main:
            lines = [json.dumps([name, self.results[name]]) for name in sorted(self.results)]
            write_text_atomically(''.join(f'{line}\n' for line in lines), self.path)
            for part in self.parts():
                part.unlink()
        self.process.barrier()


def complete_lines(file: Path) -> list[str]:
    """Read the complete lines of a file; none if it does not exist."""
    if not file.exists():
        return []
    text = file.read_text(encoding='utf-8')
    return text[: text.rfind('\n') + 1].splitlines()
