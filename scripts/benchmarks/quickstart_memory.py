"""Measure the peak memory of the whole quickstart, all its processes together (Linux).

Usage:
    python scripts/benchmarks/quickstart_memory.py --json quickstart_memory.json

It runs in a copy of the repository, from the start, in the environment of `.venv` or `IQASR_VENV`,
which is made before.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ratios import report_measured

REPOSITORY = Path(__file__).resolve().parents[2]
PARTS = ('iqasr', 'scripts', 'options', 'setup.py', 'pyproject.toml', 'README.md')


def shares_of(session: int) -> dict[str, float]:
    """Find the memory of every process of a session in MB, pages in common shared out between them.

    Returns:
        By process number and command line.
    """
    shares = {}
    for process in Path('/proc').glob('[0-9]*'):
        try:
            if os.getsid(int(process.name)) != session:
                continue
            lines = (process / 'smaps_rollup').read_text(encoding='utf-8').splitlines()
            command = (process / 'cmdline').read_bytes().decode(errors='replace')
        except OSError:  # it has ended
            continue
        kilobytes = next(int(line.split()[1]) for line in lines if line.startswith('Pss:'))
        shares[f'{process.name} {" ".join(command.split(chr(0)))}'] = kilobytes * 1024 / 1e6
    return shares


def peak_of(command: list[str], folder: Path, every_s: float) -> tuple[dict[str, float], float]:
    """Run a command, and watch the memory of all that it starts.

    Returns:
        The memory of its processes when they had most together, as `shares_of`; the time it took.

    Raises:
        subprocess.CalledProcessError: If it fails.
    """
    environment = {'IQASR_VENV': str(REPOSITORY / '.venv'), **os.environ}
    start, peak = time.perf_counter(), {}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=sys.stderr, start_new_session=True
    )
    try:
        while process.poll() is None:
            shares = shares_of(process.pid)
            peak = max(peak, shares, key=lambda found: sum(found.values()))
            time.sleep(every_s)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return peak, time.perf_counter() - start


def measure(every_s: float, total_iter: int | None) -> list[dict[str, Any]]:
    """Measure the quickstart, as rows of a table: the peak, and what each process had then."""
    # Here, as the copy would install itself.
    setup = ['bash', '-ec', 'source scripts/setup_env.sh']
    subprocess.run(setup, cwd=REPOSITORY, stdout=sys.stderr, check=True)
    with tempfile.TemporaryDirectory() as temporary:
        for part in (REPOSITORY / name for name in PARTS):
            copy = shutil.copytree if part.is_dir() else shutil.copy
            copy(part, Path(temporary, part.name))
        for path in Path(temporary, 'options/train').glob('quickstart_*.yml') if total_iter else ():
            text = path.read_text(encoding='utf-8')
            text = re.sub(r'(?m)^  total_iter: \d+', f'  total_iter: {total_iter}', text)
            path.write_text(text, encoding='utf-8')
        peak, seconds = peak_of(['bash', 'scripts/quickstart.sh'], Path(temporary), every_s)
    length = f'trainings of {total_iter} iterations, ' if total_iter else ''
    what = f'whole quickstart ({length}{seconds / 60:.0f} min), peak memory of all its processes'
    rows = [{'what': what, 'measured': f'{sum(peak.values()):.0f} MB', 'target': '<= 2000 MB'}]
    return rows + [
        {'what': f'at the peak: `{command.split(" ", 1)[1][:80]}`', 'measured': f'{mb:.0f} MB',
         'target': ''}
        for command, mb in peak.items()
    ]  # fmt: skip


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description='Watch the memory of the quickstart.')
    parser.add_argument('--every_s', type=float, default=0.5, help='time between two looks')
    parser.add_argument('--total_iter', type=int, help='shorten the trainings (their own)')
    parser.add_argument('--json', help='file for the figures')
    args = parser.parse_args()
    # As Ctrl-C does, a polite kill must end what was started here.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    report_measured(measure(args.every_s, args.total_iter), args.json, **vars(args))


if __name__ == '__main__':
    main()
