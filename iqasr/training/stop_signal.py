"""Being asked to stop, by a scheduler or at the keyboard."""

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from iqasr.runtime.distributed import Process

logger = logging.getLogger('iqasr')

PATIENCE = 2.0
"""Seconds after which a second Ctrl-C means to stop at once."""


class StopSignal:
    """Remembers SIGTERM and SIGINT, so that an iteration can be finished and saved.

    Args:
        process: This process; all processes stop at the same iteration.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.number = 0
        self.moment = 0.0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals, until the context ends."""
        numbers = (signal.SIGTERM, signal.SIGINT)
        handlers = {number: signal.signal(number, self.note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def note(self, number: int, _: Any) -> None:
        """Remember a signal.

        Launchers repeat SIGTERM, and a terminal's Ctrl-C reaches a process twice under a launcher,
        so that only a later Ctrl-C means to stop at once.
        """
        now = time.monotonic()
        if number == signal.SIGINT and self.number and now - self.moment > PATIENCE:
            raise KeyboardInterrupt
        if not self.number:
            logger.warning('%s: saving after this iteration.', signal.Signals(number).name)
            self.number, self.moment = number, now

    def is_set(self) -> bool:
        """Tell whether this process has been asked to stop."""
        return self.number != 0

    def agreed(self) -> bool:
        """Tell whether any process has been asked to stop; all get the same answer."""
        if self.process.any(self.is_set()) and self.process.world_size > 1:
            self.number = max(self.process.gather(self.number))
        return self.is_set()
