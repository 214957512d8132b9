"""Human judgements of candidate ground truths."""

import enum


class Label(enum.IntEnum):
    """What people think of a candidate, compared with the original."""

    ORIGINAL = 0
    POSITIVE = 1
    SIMILAR = 2
    NEGATIVE = 3
