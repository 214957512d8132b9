"""Memory of freed tensors is used again."""

import os
import platform
import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource
import sys
import threading

import numpy as np

from iqasr.runtime.allocator import keep_freed_memory

keeps = keep_freed_memory() if sys.argv[1] == 'keep' else None


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def count():
    np.ones(2**26, np.uint8)
    before = faults()
    for _ in range(4):
        np.ones(2**26, np.uint8)
    print(keeps, faults() - before)


if sys.argv[2] == 'thread':
    thread = threading.Thread(target=count)
    thread.start()
    thread.join()
else:
    count()
"""


def count_faults(how: str, where: str, **environment: str) -> list[str]:
    """Ask a new process what `keep_freed_memory` said, and how many pages 4 x 64 MB took."""
    return subprocess.run(
        [sys.executable, '-c', COUNT_FAULTS, how, where],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='sets an option of glibc')
@pytest.mark.parametrize('where', ['main', 'thread'])
def test_freed_memory_is_used_again_without_new_pages(where):
    plain, kept = count_faults('plain', where), count_faults('keep', where)
    assert kept[0] == 'True'
    assert int(kept[1]) < int(plain[1]) / 50


@pytest.mark.parametrize(
    'environment',
    [
        {'MALLOC_TRIM_THRESHOLD_': '131072'},
        {'MALLOC_ARENA_MAX': '2'},
        {'GLIBC_TUNABLES': 'glibc.malloc.trim_threshold=131072'},
    ],
)
def test_what_the_environment_sets_is_left_as_it_is(environment):
    assert count_faults('keep', 'main', **environment)[0] == 'False'
