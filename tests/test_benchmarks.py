import importlib
import json
import os
import subprocess
import sys

import pytest

from scripts.benchmarks.gpu_check import PARTS, Part, check, read_tests
from scripts.benchmarks.gpu_packages import find_missing
from scripts.benchmarks.suite import FOLDER, SUBJECTS, run_suite

GOOD = """
import json, sys
rows = [{'what': 'a / b', 'measured': '2.00 x', 'target': '>= 1 x'}]
open(sys.argv[sys.argv.index('--json') + 1], 'w').write(json.dumps({'rows': rows}))
"""


def test_suite_goes_on_after_a_failure_and_says_so(tmp_path, capsys):
    (tmp_path / 'bad.py').write_text('raise SystemExit(3)')
    (tmp_path / 'good.py').write_text(GOOD)
    out = tmp_path / 'new' / 'table.md'
    assert run_suite(['bad', 'good'], str(out), tmp_path) == 1
    lines = out.read_text().splitlines()
    assert lines[2:] == [
        '| bad | **failed**, exit code 3 |  |  |',
        '| good | a / b | 2.00 x | >= 1 x |',
    ]
    assert capsys.readouterr().out.splitlines() == lines
    found = json.loads(out.with_suffix('.json').read_text())
    assert [found[name]['exit_code'] for name in ('bad', 'good')] == [3, 0]
    assert found['good']['seconds'] > 0
    assert run_suite(['good'], str(out), tmp_path) == 0


IN_CHECK = {part.command[0].removesuffix('.py') for part in PARTS} - {'pytest'}


@pytest.mark.parametrize('name', sorted({*SUBJECTS, *IN_CHECK}))
def test_every_subject_is_a_script_that_can_be_imported_and_writes_json(name, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    assert callable(importlib.import_module(name).main)
    assert "'--json'" in (FOLDER / f'{name}.py').read_text()


def test_lines_of_a_report_become_rows(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    rows = importlib.import_module('gpu_study').rows_of(
        '# A\n\n| a | b | c |\n|---|---|\n| x | 1 | 2 |'
    )
    assert [(row['what'], row['measured']) for row in rows] == [('a', 'b; c'), ('x', '1; 2')]


# The GPU check

OFFLINE = {
    'step': ('gan_step.py', '--networks', 'SRVGG-16', '--versions', 'plain', '--size', '16'),
    'run': ('gpu_run.py', '--groups', '2', '--image', '160', '--crop', '96', '--batch', '1',
            '--workers', '1', '--iterations', '1', '--kinds', 'uniform'),
}  # fmt: skip


@pytest.mark.parametrize('name', OFFLINE)
def test_steps_and_runs_are_timed_without_weights(name, tmp_path):
    """Where the check runs, there is no network, and no VGG19."""
    environment = os.environ | {
        'TORCH_HOME': str(tmp_path), 'IQASR_CACHE': str(tmp_path), 'CUDA_VISIBLE_DEVICES': '',
    }  # fmt: skip
    script, *words = OFFLINE[name]
    figures = tmp_path / 'figures.json'
    command = [sys.executable, str(FOLDER / script), *words, '--rounds', '1']
    subprocess.run([*command, '--json', str(figures)], check=True, env=environment)
    assert json.loads(figures.read_text())['rows']


JUNIT = """<testsuites><testsuite>
<testcase name="good"/>
<testcase name="bad"><failure message="short">the whole message</failure></testcase>
<testcase name="absent"><skipped message="why"/></testcase>
</testsuite></testsuites>"""


def test_outcomes_of_tests_become_a_row_and_their_messages_are_kept():
    found = read_tests(JUNIT)
    assert found['rows'][0]['measured'] == '1 passed, 1 failed, 1 skipped'
    assert found['failures'] == {'bad': 'the whole message'}


def test_the_check_stops_what_takes_too_long_and_goes_on(tmp_path, monkeypatch, capsys):
    (tmp_path / 'good.py').write_text(GOOD)
    (tmp_path / 'slow.py').write_text('import time; time.sleep(60)')
    monkeypatch.setattr('scripts.benchmarks.gpu_check.FOLDER', tmp_path)
    parts = [Part(name, (f'{name}.py',), limit_s=limit) for name, limit in SLOW_AND_GOOD]
    monkeypatch.setattr('scripts.benchmarks.gpu_check.PARTS', parts)
    out = tmp_path / 'new'
    assert check(['slow', 'good'], out, 60, small=True) == 1
    lines = (out / 'gpu_check.md').read_text().splitlines()
    assert lines[-2:] == ['| slow | **stopped** |  |  |', '| good | a / b | 2.00 x | >= 1 x |']
    assert 'small sizes' in lines[0]
    found = json.loads((out / 'gpu_check.json').read_text())['parts']
    assert found['slow']['exit_code'] is None
    assert found['slow']['seconds'] < 20
    assert check(['good'], out, 60, small=True) == 0
    assert check(['good'], out, 1, small=True) == 1
    assert 'No time was left for good.' in capsys.readouterr().out


SLOW_AND_GOOD = [('slow', 2), ('good', 30)]


def test_missing_packages_are_named():
    assert find_missing(['torch', 'no_such_module']) == ['no_such_module']
    assert find_missing() == []


def test_peak_memory_counts_all_processes_at_once(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    from scripts.benchmarks.quickstart_memory import peak_of

    hold = 'import time; held = bytearray(40_000_000); time.sleep(1.5)'
    command = ['bash', '-c', f'python3 -c "{hold}" & python3 -c "{hold}"; wait']
    peak, seconds = peak_of(command, tmp_path, every_s=0.1)
    assert 80 < sum(peak.values()) < 160
    assert seconds > 1.5
    assert sum('bytearray' in process for process in peak) >= 2
