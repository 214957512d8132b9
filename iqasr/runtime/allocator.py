"""How the C library hands out memory to computations on the CPU."""

import ctypes
import os
import platform

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
"""Parameters of glibc's `mallopt` (malloc.h)."""

TRIM_BYTES = 2**31 - 1
MMAP_BYTES = 2**30


def keep_freed_memory() -> bool:
    """Let glibc reuse the memory of freed tensors instead of giving it back at once.

    By default it returns large blocks to the system, and the next one comes anew, page by page and
    zeroed: up to half the time of a network on the CPU. Blocks of 1 GiB and more still go back, and
    so does what exceeds 2 GiB at the heap's end. All threads share one heap, as the others are too
    small for large blocks.

    Returns:
        Whether it does; not with another C library, or where the environment sets glibc's own
        variables (``GLIBC_TUNABLES``, ``MALLOC_*``), which are left as they are.
    """
    set_by_user = 'glibc.malloc' in os.environ.get('GLIBC_TUNABLES', '') or any(
        name.startswith('MALLOC_') for name in os.environ
    )
    if set_by_user or platform.libc_ver()[0] != 'glibc':
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((M_MMAP_THRESHOLD, MMAP_BYTES), (M_TRIM_THRESHOLD, TRIM_BYTES), (M_ARENA_MAX, 1))
    return all(mallopt(*setting) for setting in settings)
