"""Which processes a start joins."""

import socket

import torch.distributed as dist

from iqasr.runtime.distributed import join_processes, leave_processes


def test_torchrun_counts_without_the_flag(monkeypatch):
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        port = found.getsockname()[1]
    where = {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port)}
    started = {'RANK': '0', 'LOCAL_RANK': '0', 'WORLD_SIZE': '1', 'TORCHELASTIC_RUN_ID': 'none'}
    for name, value in (where | started).items():
        monkeypatch.setenv(name, value)
    try:
        assert join_processes('none', 0).world_size == 1
        assert dist.is_initialized()
    finally:
        leave_processes()


def test_a_process_started_alone_joins_nobody(monkeypatch):
    for name in ('RANK', 'WORLD_SIZE', 'TORCHELASTIC_RUN_ID'):
        monkeypatch.delenv(name, raising=False)
    assert join_processes('none', 0).world_size == 1
    assert not dist.is_initialized()
