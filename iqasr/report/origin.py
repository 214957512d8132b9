"""Where a result comes from: the options of its test, and the training behind its weights."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iqasr.options import read_yaml
from iqasr.paths import resolve
from iqasr.report.results import Results

MOST_POINTS = 200
"""Points of a training curve that are kept, evenly spread."""

Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class Origin:
    """What is known about how a result came to be."""

    options: dict[str, str] = field(default_factory=dict)
    """Dotted name to value, as text: of the test, and after ``training: `` of the training."""

    curves: dict[str, Curve] = field(default_factory=dict)
    """By TensorBoard tag, iterations and values."""


def origin_of(results: Results) -> Origin:
    """Look for the options and training curves of a result; what is not there is left out.

    The training is found by the weights that were tested, ``experiments/<run>/models/<file>``.

    Raises:
        OptionError: If an option file is broken.
    """
    path = results.folder / 'options.yml'
    if not path.is_file():
        return Origin()
    content = read_yaml(path)
    options = flattened(content)
    weights = (content.get('path') or {}).get('pretrain_network_g')
    weights = resolve(weights) if weights else None
    if weights is None or weights.parent.name != 'models':
        return Origin(options)
    run = weights.parents[1]
    for file in sorted(run.glob('*.yml'))[:1]:
        trained = flattened(read_yaml(file))
        options |= {f'training: {name}': value for name, value in trained.items()}
    return Origin(options, curves_in(run.parents[1] / 'tb_logger' / run.name))


def flattened(content: Mapping[str, Any], prefix: str = '') -> dict[str, str]:
    """Turn nested options into dotted names with values as text.

    Example:
        >>> flattened({'train': {'ema_decay': 0.9, 'betas': [0.9, 0.99]}})
        {'train.ema_decay': '0.9', 'train.betas': '[0.9, 0.99]'}
    """
    flat = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f'{prefix}{key}.')
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            flat[f'{prefix}{key}'] = text
    return flat


def differing_options(origins: Sequence[Origin]) -> dict[str, list[str]]:
    """List the options in which runs differ: by name, the value of each run or an empty text.

    Runs without options are left out of the question. The names of the runs are no difference.
    """
    known = [o.options for o in origins if o.options]
    names = list(dict.fromkeys(name for options in known for name in options))
    return {
        name: [o.options.get(name, '') for o in origins]
        for name in names
        if name not in ('name', 'training: name') and len({o.get(name) for o in known}) > 1
    }


def curves_in(folder: Path) -> dict[str, Curve]:
    """Read the scalars of a TensorBoard folder, thinned to `MOST_POINTS`."""
    if not folder.is_dir():
        return {}
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={'scalars': 0}).Reload()
    return {tag: thinned(events.Scalars(tag)) for tag in sorted(events.Tags()['scalars'])}


def thinned(events: Sequence[Any]) -> Curve:
    """Keep at most `MOST_POINTS` finite values, the last among them."""
    finite = [(event.step, event.value) for event in events if math.isfinite(event.value)]
    stride = math.ceil(len(finite) / MOST_POINTS) or 1
    return finite[::-1][::stride][::-1]
