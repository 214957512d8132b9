"""Carry out the parts of scripts/gpu_check.sh within a time, and write what they find as they go.

Usage:
    python -m scripts.benchmarks.gpu_check -o results/gpu_check --budget 500
    python -m scripts.benchmarks.gpu_check -o results/gpu_check --small --only tests
"""

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from scripts.benchmarks.suite import FOLDER, table_of

logger = logging.getLogger('iqasr')

ROOT = FOLDER.parents[1]
VERSIONS = ('plain', 'channels_last+bf16', 'channels_last+bf16+captured')


SHORTEST_S = 5
"""Seconds that must be left for a part to be begun."""


@dataclass(frozen=True)
class Part:
    """A test or a benchmark, in a process of its own.

    Args:
        name: What the tables call it.
        command: Script of this folder and its arguments; ``pytest`` for tests.
        small: Arguments that make it small, for a try.
        limit_s: Longest time that it may take, in seconds.
    """

    name: str
    command: tuple[str, ...]
    small: tuple[str, ...] = ()
    limit_s: float = 120

    def arguments(self, figures: Path, *, small: bool) -> list[str]:
        """Build the command line; the part writes its figures to a file."""
        script, *rest = self.command
        if script == 'pytest':
            return [sys.executable, '-m', 'pytest', *rest, f'--junitxml={figures}']
        rest += self.small if small else ()
        return [sys.executable, str(FOLDER / script), *rest, '--json', str(figures)]


def step_part(name: str, network: str, *versions: str, size_px: int = 64) -> Part:
    """Describe a benchmark of training steps."""
    command = ('gan_step.py', '--networks', network, '--versions', *versions)
    size = ('--size', str(size_px), '--batch', '12', '--steps', '4', '--rounds', '5')
    small = ('--size', '16', '--batch', '1', '--steps', '1', '--rounds', '1', '--versions', 'plain')
    return Part(name, (*command, *size, '--limit', '15'), small)


RUN = ('gpu_run.py', '--amp', 'bf16', '--speed', 'graph', '--rounds', '2')
SMALL_RUN = (
    *('--groups', '2', '--image', '160', '--crop', '96', '--batch', '1', '--workers', '1'),
    *('--iterations', '1', '--rounds', '1', '--kinds', 'uniform', '--amp', 'none'),
)
TESTS = ('pytest', '-m', 'cuda', 'tests/device', '--tb=short', '-p', 'no:cacheprovider')
PARTS = (
    Part('captured', (*TESTS, '-k', 'captured'), limit_s=60),
    Part('tests', TESTS, limit_s=200),
    step_part('step RRDB-23', 'RRDB-23', *VERSIONS),
    step_part('step SwinIR-M', 'SwinIR-M', *VERSIONS, 'plain+tf32', size_px=48),
    Part('run', (*RUN, '--iterations', '10', '--kinds', 'uniform', 'nima'), SMALL_RUN),
    step_part('step SRVGG-16', 'SRVGG-16', *VERSIONS),
    step_part('compiled SwinIR-M', 'SwinIR-M', 'plain+bf16+compiled', size_px=48),
    step_part('compiled RRDB-23', 'RRDB-23', 'channels_last+bf16+compiled'),
    Part('run MUSIQ', (*RUN, '--iterations', '4', '--kinds', 'musiq'), SMALL_RUN),
    Part('degradation', ('degradation.py', '--batch', '12', '--queue', '180', '--steps', '4'),
         ('--batch', '1', '--side', '96', '--crop', '64', '--rounds', '1', '--queue', '2'), 40),
    Part('restoring', ('restoring.py', '--side', '256'),
         ('--networks', 'SwinIR-S', '--side', '40', '--rounds', '1'), 40),
    Part('validation', ('validation.py', '--count', '40'),
         ('--count', '2', '--side', '256', '--blocks', '1'), 60),
    Part('short study', ('gpu_study.py',), ('--iterations', '1'), 200),
)  # fmt: skip
"""The most important first."""


def run_part(part: Part, folder: Path, limit_s: float, *, small: bool) -> dict[str, Any]:
    """Carry out a part; one that takes too long is stopped.

    Returns:
        ``rows`` of a table, ``exit_code`` (None if stopped), ``seconds``, and ``failures``: the
        messages of tests that failed.
    """
    stem = part.name.replace(' ', '_')
    figures = folder / f'{stem}{".xml" if part.command[0] == "pytest" else ".json"}'
    figures.unlink(missing_ok=True)
    start = time.monotonic()
    with (folder / f'{stem}.log').open('w', encoding='utf-8') as log:
        process = subprocess.Popen(
            part.arguments(figures, small=small),
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = None
    found: dict[str, Any] = {'rows': [], 'failures': {}}
    if figures.exists():
        read = read_tests if figures.suffix == '.xml' else read_figures
        found |= read(figures.read_text(encoding='utf-8'))
    return found | {'exit_code': code, 'seconds': round(time.monotonic() - start, 1)}


def read_figures(text: str) -> dict[str, Any]:
    """Read what a benchmark wrote."""
    return json.loads(text)


def read_tests(text: str) -> dict[str, Any]:
    """Read JUnit's XML as a row, and the messages of what failed."""
    failures, outcomes = {}, dict.fromkeys(('passed', 'failed', 'skipped'), 0)
    for case in ElementTree.fromstring(text).iter('testcase'):
        bad = [child for child in case if child.tag in ('failure', 'error')]
        skipped = any(child.tag == 'skipped' for child in case)
        outcomes['failed' if bad else 'skipped' if skipped else 'passed'] += 1
        for child in bad:
            failures[case.get('name')] = (child.text or child.get('message') or '')[-3000:]
    measured = ', '.join(f'{count} {name}' for name, count in outcomes.items())
    row = {'what': 'device against CPU', 'measured': measured, 'target': 'none failed'}
    return {'rows': [row], 'failures': failures}


def check(names: Sequence[str], folder: Path, budget_s: float, *, small: bool) -> int:
    """Carry out parts in turn, as far as the time goes.

    Args:
        names: Of `PARTS`.
        folder: Receives ``gpu_check.md`` and ``gpu_check.json``, written after every part, and a
            log of each.
        budget_s: Time for all of them, in seconds.
        small: Use small sizes.

    Returns:
        0 if all were carried out and none failed, else 1.
    """
    folder.mkdir(parents=True, exist_ok=True)
    end, found, left_out = time.monotonic() + budget_s, {}, []
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else 'no GPU'
    heading = f'{card}, torch {torch.__version__}{", small sizes" if small else ""}'
    for part in (part for part in PARTS if part.name in names):
        left = end - time.monotonic()
        if left < SHORTEST_S:
            left_out.append(part.name)
            continue
        found[part.name] = run_part(part, folder, min(part.limit_s, left), small=small)
        state = {0: 'done', None: 'stopped'}.get(found[part.name]['exit_code'], 'failed')
        logger.info('%s: %s, %.0f s', part.name, state, found[part.name]['seconds'])
        text = json.dumps({'machine': heading, 'parts': found}, indent=2)
        (folder / 'gpu_check.json').write_text(text + '\n', encoding='utf-8')
        table = f'{heading}\n\n{table_of(found)}'
        (folder / 'gpu_check.md').write_text(table, encoding='utf-8')
    for name, result in found.items():
        for test, message in result['failures'].items():
            sys.stdout.write(f'\n{name}: {test}\n{message}\n')
    sys.stdout.write(f'{heading}\n\n{table_of(found)}')
    if left_out:
        sys.stdout.write(f'\nNo time was left for {", ".join(left_out)}.\n')
    return int(bool(left_out) or any(result['exit_code'] != 0 for result in found.values()))


def main() -> int:
    """Parse the command line and carry out the check."""
    parser = argparse.ArgumentParser(prog='gpu_check.sh', description='Check and time on a GPU.')
    parser.add_argument('-o', '--output', default='results/gpu_check', help='folder for figures')
    parser.add_argument('--budget', type=float, default=1800, help='seconds for all parts')
    names = [part.name for part in PARTS]
    parser.add_argument('--only', nargs='+', default=names, choices=names, metavar='PART')
    parser.add_argument('--small', action='store_true', help='small sizes, also without a GPU')
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s')
    if not args.small and not torch.cuda.is_available():
        parser.error('there is no GPU here; --small tries the check without one')
    return check(args.only, Path(args.output), args.budget, small=args.small)


if __name__ == '__main__':
    sys.exit(main())
