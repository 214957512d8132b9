"""How commands end: 0 done, 1 failed or something left out, 2 refused, 3 cannot be stored."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from iqasr.runtime.errors import InputError, StorageError

WRONG_INPUT = 2
"""Exit code when options, data or weights are refused."""

NOT_STORED = 3
"""Exit code when a file cannot be written, or what a run has saved cannot be read again."""

REFUSALS = (InputError, OSError, ValueError, RuntimeError)
"""Errors whose message is enough; torch's own are RuntimeErrors."""


def exit_code_of(error: Exception) -> int:
    """Tell with which exit code a command ends because of an error."""
    return NOT_STORED if isinstance(error, StorageError) else WRONG_INPUT


@contextmanager
def exit_codes(prog: str) -> Iterator[None]:
    """End the command, ``prog``, with a message on stderr if an error of `REFUSALS` occurs.

    Raises:
        SystemExit: With `exit_code_of` the error.
    """
    try:
        yield
    except REFUSALS as error:
        sys.stderr.write(f'{prog}: {error}\n')
        sys.exit(exit_code_of(error))
