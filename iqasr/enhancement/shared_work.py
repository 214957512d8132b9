"""Work on many photographs, shared by several processes and kept when one is killed."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from iqasr.data.files.journal import open_journal, part_of, parts_of, read_complete
from iqasr.runtime.atomic_files import write_text_atomically
from iqasr.runtime.distributed import Process


def share_out(
    path: Path,
    files: Mapping[str, Path],
    work: Callable[[str], dict[str, Any]],
    is_current: Callable[[str, dict[str, Any], list[int]], bool],
    process: Process,
    title: str,
) -> dict[str, dict[str, Any]]:
    """Do this process's share of the unfinished work on photographs.

    Each process keeps its results in a journal of its own. At the end these are merged into `path`,
    which does not depend on who did the work.

    Args:
        path: File that keeps the results.
        files: Photographs by name.
        work: From a name to its result, JSON content.
        is_current: Whether an earlier result of a name still holds, given the state of its file.
        process: This process among those that share the work.
        title: What is being done, for the bar.

    Returns:
        The results of all processes and earlier runs, by name, each with the ``state`` of its file.
    """
    results = read_results(path)
    own: dict[str, dict[str, Any]] = {}
    mine = list(files)[process.rank :: process.world_size]
    process.barrier()  # no process writes before all have read
    with open_journal(part_of(path, process.rank)) as journal:
        for name in tqdm(mine, title, unit='photograph', disable=not process.is_main):
            state = file_state(files[name])
            if name not in results or not is_current(name, results[name], state):
                own[name] = work(name) | {'state': state}
                journal.write(json.dumps([name, own[name]]) + '\n')
    for new in process.gather(own):
        results |= new
    if process.is_main:
        lines = [json.dumps([name, results[name]]) for name in sorted(results)]
        write_text_atomically(''.join(f'{line}\n' for line in lines), path)
        for part in parts_of(path):
            part.unlink()
    process.barrier()
    return results


def read_results(path: Path) -> dict[str, dict[str, Any]]:
    """Read the results of earlier runs, finished or not, by name."""
    results: dict[str, dict[str, Any]] = {}
    for kept in (path, *parts_of(path)):
        results |= map(json.loads, read_complete(kept).splitlines())
    return results


def file_state(file: Path) -> list[int]:
    """Size and modification time of a file, by which a change is noticed."""
    stat = file.stat()
    return [stat.st_size, stat.st_mtime_ns]
