import signal
import subprocess
import sys
import time

import pytest

from iqasr.report.commands import run_command

CALLER = """
import multiprocessing, os, pathlib, signal, sys, threading, time
from iqasr.report.commands import stop_with_caller

def child(folder):
    def note(*_):
        (folder / 'stopped').touch()
        os._exit(0)
    signal.signal(signal.SIGTERM, note)
    threading.Thread(target=stop_with_caller, daemon=True).start()
    (folder / 'started').touch()
    while True:
        time.sleep(0.1)

if __name__ == '__main__':
    folder = pathlib.Path(sys.argv[1])
    multiprocessing.get_context('spawn').Process(target=child, args=(folder,)).start()
    while not (folder / 'started').exists():
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_failing_command_says_why(tmp_path):
    with pytest.raises(RuntimeError, match=r'no such option file'):
        run_command('train', tmp_path / 'none.yml', ['name=x'])


def test_command_stops_with_a_caller_that_was_killed(tmp_path):
    (tmp_path / 'caller.py').write_text(CALLER)
    words = [sys.executable, str(tmp_path / 'caller.py'), str(tmp_path)]
    assert subprocess.run(words, timeout=120).returncode == -signal.SIGKILL
    end = time.monotonic() + 60
    while not (tmp_path / 'stopped').exists():
        assert time.monotonic() < end
        time.sleep(0.1)
