"""Human judgements of candidate ground truths."""

import enum


class Label(enum.IntEnum):
    """Judgement of a candidate in comparison with the original."""

    ORIGINAL = 0
    POSITIVE = 1
    SIMILAR = 2
    NEGATIVE = 3
