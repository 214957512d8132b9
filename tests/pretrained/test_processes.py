"""Several processes that want the same weights, and one that is killed over them."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

PROGRAM = """
import sys
from iqasr.pretrained import catalogue, find_weights
from iqasr.pretrained.entry import Entry, url_source
url, sha256 = sys.argv[1:]
source = url_source(url, {'tiny.pth': sha256})
catalogue.CATALOGUE['tiny'] = Entry('tiny', 'tiny', 'network', 'CC0-1.0', (source,))
print(find_weights('tiny'))
"""


def start(entry) -> subprocess.Popen:
    source = entry.sources[0]
    words = [sys.executable, '-c', PROGRAM, source.url, source.files[0].sha256]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, 'nothing came in time'
        time.sleep(0.02)


def test_of_several_processes_one_fetches(add_url, server, folders):
    entry = add_url()
    server.hold = threading.Event()
    processes = [start(entry) for _ in range(3)]
    wait_for(lambda: server.requests)
    server.hold.set()
    outputs = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert outputs == {str(folders / 'cache' / 'tiny.safetensors')}
    assert server.requests == [None]


@pytest.mark.skipif(os.name == 'nt', reason='kills by signal')
def test_a_killed_process_leaves_nothing_that_blocks(add_url, server, folders, assert_tiny):
    entry = add_url()
    server.hold = threading.Event()
    process = start(entry)
    part = folders / 'cache' / 'incoming' / 'tiny' / 'tiny.pth.part'
    wait_for(lambda: server.requests and part.exists())
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    server.hold.set()
    assert not (folders / 'cache' / 'tiny.safetensors').exists()
    assert_tiny()
