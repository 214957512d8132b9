"""Origin of a result: the options of its test, and the training of its weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iqasr.evaluation.result_folder import ResultFolder
from iqasr.options.file import flatten, read_yaml
from iqasr.runtime.paths import resolve

MOST_POINTS = 200
"""Most points of a training curve that are kept."""

Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class Origin:
    """Options and training curves of a result, as far as they are known."""

    test: dict[str, str] = field(default_factory=dict)
    """Options of the test: values as text, by dotted name."""

    training: dict[str, str] = field(default_factory=dict)
    """Options of the training, likewise."""

    curves: dict[str, Curve] = field(default_factory=dict)
    """Iterations and values by TensorBoard tag."""


def find_origin(results: ResultFolder) -> Origin:
    """Find the options and training curves of a result, as far as they exist.

    The training is found by the weights that were tested, ``experiments/<run>/models/<file>``.

    Raises:
        OptionError: If an option file cannot be read.
    """
    path = results.folder / 'options.yml'
    if not path.is_file():
        return Origin()
    content = read_yaml(path)
    weights = (content.get('path') or {}).get('pretrain_network_g')
    models = resolve(weights).parent if weights else Path()
    if models.name != 'models':
        return Origin(flatten(content))
    run = models.parent
    newest = max(run.glob('*.yml'), key=lambda file: file.stat().st_mtime, default=None)
    training = flatten(read_yaml(newest)) if newest else {}
    return Origin(flatten(content), training, read_curves(run.parents[1] / 'tb_logger' / run.name))


def differing_options(origins: Sequence[Origin]) -> dict[str, list[str]]:
    """Find the options in which runs differ: the value of each run (or an empty text) by option.

    Runs without known options do not count as different, and neither do the names of runs.
    """
    found = {}
    for kind in ('test', 'training'):
        options = [getattr(origin, kind) for origin in origins]
        known = [given for given in options if given]
        for name in dict.fromkeys(name for given in known for name in given if name != 'name'):
            if len({given.get(name) for given in known}) > 1:
                found[f'{kind}: {name}'] = [given.get(name, '') for given in options]
    return found


def read_curves(folder: Path) -> dict[str, Curve]:
    """Read the scalars of a TensorBoard folder, at most `MOST_POINTS` each."""
    if not folder.is_dir():
        return {}
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={'scalars': 0}).Reload()
    tags = sorted(events.Tags()['scalars'], key=lambda tag: (not tag.startswith('losses/'), tag))
    return {tag: thin(events.Scalars(tag)) for tag in tags}


def thin(events: Sequence[Any]) -> Curve:
    """Keep at most `MOST_POINTS` finite values, evenly spread, including the last."""
    finite = [(event.step, event.value) for event in events if math.isfinite(event.value)]
    stride = math.ceil(len(finite) / MOST_POINTS) or 1
    return finite[::-1][::stride][::-1]
