"""All benchmarks, one after another, as one table."""

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

logger = logging.getLogger('iqasr')

FOLDER = Path(__file__).resolve().parent
SUBJECTS = (
    'data_path',
    'argmax_step',
    'scoring',
    'gan_step',
    'degradation',
    'lora_step',
    'traffic',
    'restoring',
    'validation',
    'start_up',
    'quickstart_memory',
)
"""Scripts of this folder, each run with its defaults; a new one takes ``--json`` and goes here."""

HEADER = '| subject | what | measured | target |\n|---|---|---:|---:|\n'


def run_subject(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Run one benchmark in a process of its own.

    Returns:
        ``exit_code``, ``seconds``, and what the script wrote: ``rows``, ``settings``, ...
    """
    environment = {'OMP_NUM_THREADS': '1', **os.environ}
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        figures = Path(temporary, 'figures.json')
        command = [sys.executable, str(folder / f'{name}.py'), '--json', str(figures)]
        done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL)
        found = json.loads(figures.read_text(encoding='utf-8')) if figures.exists() else {}
    seconds = time.perf_counter() - start
    logger.info('%s: %.0f s, exit code %d', name, seconds, done.returncode)
    return {'rows': [], **found, 'exit_code': done.returncode, 'seconds': round(seconds, 3)}


def table_of(subjects: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the rows of all benchmarks as a Markdown table, and what failed."""
    lines = []
    for name, found in subjects.items():
        rows = [
            [name, *(row[key] for key in ('what', 'measured', 'target'))] for row in found['rows']
        ]
        if found['exit_code'] is None:
            rows.append([name, '**stopped**', '', ''])
        elif found['exit_code']:
            rows.append([name, f'**failed**, exit code {found["exit_code"]}', '', ''])
        lines += ['| ' + ' | '.join(row) + ' |\n' for row in rows]
    return HEADER + ''.join(lines)


def run_suite(names: Sequence[str], out: str, folder: Path = FOLDER) -> int:
    """Run benchmarks in turn; one that fails does not keep the others from running.

    Args:
        names: Of `SUBJECTS`.
        out: The Markdown table; the JSON goes beside it. Both are written after every benchmark.
        folder: Where the scripts are.

    Returns:
        0 if all succeeded, else 1.
    """
    table, subjects = Path(out), {}
    table.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        subjects[name] = run_subject(name, folder)
        table.write_text(table_of(subjects), encoding='utf-8')
        content = json.dumps(subjects, indent=2) + '\n'
        table.with_suffix('.json').write_text(content, encoding='utf-8')
    sys.stdout.write(table_of(subjects))
    return int(any(found['exit_code'] for found in subjects.values()))
