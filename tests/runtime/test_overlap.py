"""Work ahead of what is asked for, within bounds."""

import threading
from concurrent.futures import ThreadPoolExecutor

from iqasr.runtime.overlap import ahead


def test_results_do_not_pile_up():
    taken, done, gate = [], [], threading.Semaphore(0)

    def items():
        for number in range(6):
            taken.append(number)
            yield number

    def work(number):
        gate.acquire()
        return number

    with ThreadPoolExecutor(2) as pool:
        results = ahead(pool, work, items(), 3)
        for number in range(6):
            gate.release()
            gate.release()
            done.append(next(results))
            assert len(taken) <= number + 3
    assert done == list(range(6))
