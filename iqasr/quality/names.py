"""Short names of scorers."""

from collections.abc import Mapping
from typing import Any

from iqasr.quality.pyiqa_scorer import import_pyiqa
from iqasr.registry import SCORER_REGISTRY, names_in, nearest


def scorer_section(name: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Write the section of an option file for a scorer with a short name.

    Args:
        name: ``niqe`` for `NIQEScorer`, and so on for every registered class; or else the name of a
            metric of pyiqa.
        options: Arguments of the registered class; or else those of the metric in pyiqa, and
            ``weights``, its weight file.

    Raises:
        ValueError: If there is no scorer of that name; the message suggests the nearest.
        ImportError: If no registered class has that name and pyiqa is not installed.
    """
    own = dict(options or {})
    classes = {cls.lower().removesuffix('scorer'): cls for cls in names_in(SCORER_REGISTRY)}
    registered = classes.get(name.lower().removesuffix('scorer'))
    if registered is not None:
        return {'type': registered, **own}
    metrics = import_pyiqa().list_models()
    if name not in metrics:
        raise ValueError(
            f"no scorer is called '{name}'.{nearest(name, [*classes, *metrics])} There are: "
            f'{", ".join(sorted(classes))}, and those of `pyiqa.list_models()`.'
        )
    weights = {'weights': own.pop('weights')} if 'weights' in own else {}
    return {'type': 'PyIQAScorer', 'metric': name, **weights, **({'options': own} if own else {})}
