"""Short names of scorers."""

from typing import Any

from iqasr.quality.pyiqa_scorer import import_pyiqa
from iqasr.registry import SCORER_REGISTRY, names_in, nearest


def registered_scorer(name: str) -> str | None:
    """Find the class of scorers that is called so, with or without ``Scorer``, in any case."""
    for cls in names_in(SCORER_REGISTRY):
        if name.lower() in (cls.lower(), cls.lower().removesuffix('scorer')):
            return cls
    return None


def section_of(name: str) -> dict[str, Any]:
    """Write the section of a scorer from its short name.

    Args:
        name: ``niqe`` for `NIQEScorer`, and so on for every registered class; or else the name of a
            metric of pyiqa.

    Raises:
        ValueError: If there is neither; the message suggests the nearest name.
        ImportError: If pyiqa would have to be asked, and is not installed.
    """
    registered = registered_scorer(name)
    if registered is not None:
        return {'type': registered}
    known = import_pyiqa().list_models()
    if name not in known:
        own = [cls.lower().removesuffix('scorer') for cls in names_in(SCORER_REGISTRY)]
        raise ValueError(
            f"no metric is called '{name}'.{nearest(name, [*known, *own])} There are: "
            f'{", ".join(own)} and those of pyiqa, `pyiqa.list_models()`.'
        )
    return {'type': 'PyIQAScorer', 'metric': name}
