"""The checkpoints of a test, what it keeps while it runs, and the files of its results."""

import glob
import logging
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from iqasr.evaluation.evaluate import Result
from iqasr.metrics import Metric
from iqasr.options.sections import Options
from iqasr.pretrained import CATALOGUE, find_weights, is_known
from iqasr.pretrained.sources import sha256_of
from iqasr.registry import nearest
from iqasr.runtime.atomic_files import write_json, write_text_atomically
from iqasr.runtime.errors import OptionError
from iqasr.runtime.paths import natural_order, resolve, set_aside

logger = logging.getLogger('iqasr')

UNFINISHED = '.unfinished'
"""Folder beside the results of a test that holds what is measured so far."""

RECORD = 'record.yml'


def find_checkpoints(patterns: Sequence[str]) -> list[Path]:
    """Find the files that ``--checkpoints`` names.

    Args:
        patterns: Paths, patterns such as ``models/net_g_*.pth``, or names of weights.

    Returns:
        The files, once each; those of a pattern sorted, with numbers in their order.

    Raises:
        OptionError: If there is none.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = resolve(pattern)
        matches = [path] if path.is_file() else map(Path, glob.glob(str(path)))
        matches = sorted(matches, key=natural_order)
        if not matches and is_known(pattern):
            matches = [find_weights(pattern)]
        if not matches:
            hint = nearest(pattern, CATALOGUE)
            raise OptionError(f'--checkpoints {pattern}: there is no such file.{hint}')
        found |= dict.fromkeys(matches)
    return list(found)


def folder_names(checkpoints: Sequence[Path]) -> list[str]:
    """Name the result folder of each checkpoint.

    Returns:
        The names of the files; where runs have files of one name, after that of the run.

    Raises:
        OptionError: If two would have the same folder.

    Example:
        >>> folder_names([Path('a/models/net_g_5.pth'), Path('a/models/net_g_10.pth')])
        ['net_g_5', 'net_g_10']
        >>> folder_names([Path('a/models/net_g_5.pth'), Path('b/models/net_g_5.pth')])
        ['a_net_g_5', 'b_net_g_5']
    """
    names = [path.stem for path in checkpoints]
    if len(set(names)) < len(names):
        places = [path.parent for path in checkpoints]
        runs = [place.parent if place.name == 'models' else place for place in places]
        names = [f'{run.name}_{name}' for run, name in zip(runs, names, strict=True)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise OptionError(f'--checkpoints: several would write to {twice[0]}; test them apart.')
    return names


def describe_test(
    options: Options, opt: Mapping[str, Any], model: Any, loaders: Sequence[Any]
) -> str:
    """Describe all that the results of a test follow from, but for the content of its images."""
    path = opt['path'].get('pretrain_network_g')
    weights = sha256_of(Path(path)) if path else None
    metrics = [metric.name for metric in getattr(model, 'metrics', [])]
    sizes = [len(loader.dataset) for loader in loaders]
    return f'{options.as_yaml()}# {weights} {metrics} {sizes}\n'


def is_begun(folder: Path, record: str) -> bool:
    """Tell whether a test was begun, but not finished, with the same options, weights and data."""
    path = folder / UNFINISHED / RECORD
    if not path.is_file():
        return False
    if path.read_text(encoding='utf-8') != record:
        logger.warning('%s: other options, weights or data; all is measured anew.', path.parent)
        return False
    return True


def begin_test(folder: Path, record: str, *, pictures_are_inputs: bool) -> None:
    """Clear a result folder of what an earlier test left, but for its results."""
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    if not pictures_are_inputs:
        set_aside(folder / 'visualization')
    write_text_atomically(record, folder / UNFINISHED / RECORD)


def end_test(folders: Iterable[Path]) -> None:
    """Remove what only an unfinished test needs."""
    for folder in folders:
        shutil.rmtree(folder / UNFINISHED)


def write_results(
    results: Sequence[Result], metrics: Sequence[Metric], options: Options, *, name: str, root: Path
) -> None:
    """Write the results of all test sets.

    Args:
        results: One per set.
        metrics: The metrics.
        options: The checked option file, as it is written to the folder.
        name: What reports call these results.
        root: The result folder: ``summary.json``, ``<set>.csv``, ``options.yml``.
    """
    sets = {}
    for result in results:
        sets[result.dataset] = {'means': result.means(), 'files': result.files}
        result.write_csv(root / f'{result.dataset}.csv')
    write_text_atomically(options.as_yaml(), root / 'options.yml')
    better = {metric.name: metric.better for metric in metrics}
    write_json({'name': name, 'better': better, 'sets': sets}, root / 'summary.json')
