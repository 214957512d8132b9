"""Several processes that want the same weights, and one that is killed over them."""

import os
import threading
import time

import pytest
from processes import find_tiny_weights, start


@pytest.fixture
def start_fetch(tmp_path):
    """Start a process that finds the weights of an entry; returns it, and what it will say."""

    def start_one(entry, number=0):
        source, log = entry.sources[0], tmp_path / f'log{number}'
        here = {k: v for k, v in os.environ.items() if k.startswith(('IQASR_', 'TORCH_', 'PIP_'))}
        url, sha256 = source.url, source.files[0].sha256
        return start(find_tiny_weights, url, sha256, log=log, environment=here), log

    return start_one


def wait_for(condition, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, 'nothing came in time'
        time.sleep(0.02)


def test_of_several_processes_one_fetches(add_url, server, folders, start_fetch):
    entry = add_url()
    server.hold = threading.Event()
    fetches = [start_fetch(entry, number) for number in range(3)]
    wait_for(lambda: server.requests)
    server.hold.set()
    for process, _ in fetches:
        process.join(300)
    outputs = {log.read_text().strip().splitlines()[-1] for _, log in fetches}
    assert outputs == {str(folders / 'cache' / 'tiny.safetensors')}
    assert server.requests == [None]


def test_a_killed_process_leaves_nothing_that_blocks(
    add_url, server, folders, assert_tiny, start_fetch
):
    entry = add_url()
    server.hold = threading.Event()
    process, _ = start_fetch(entry)
    part = folders / 'cache' / 'incoming' / 'tiny' / 'tiny.pth.part'
    wait_for(lambda: server.requests and part.exists())
    process.kill()
    process.join()
    server.hold.set()
    assert not (folders / 'cache' / 'tiny.safetensors').exists()
    assert_tiny()
