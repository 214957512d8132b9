import json

import pytest

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


@pytest.mark.parametrize('name', SUBJECTS)
def test_every_subject_is_a_script_that_writes_json(name):
    assert "'--json'" in (FOLDER / f'{name}.py').read_text()


def test_peak_memory_counts_all_processes_at_once(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    from scripts.benchmarks.quickstart_memory import peak_of

    hold = 'import time; held = bytearray(40_000_000); time.sleep(1.5)'
    command = ['bash', '-c', f'python3 -c "{hold}" & python3 -c "{hold}"; wait']
    peak, seconds = peak_of(command, tmp_path, every_s=0.1)
    assert 80 < sum(peak.values()) < 160
    assert seconds > 1.5
    assert sum('bytearray' in process for process in peak) >= 2
