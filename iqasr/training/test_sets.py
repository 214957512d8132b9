"""Test one or several checkpoints on test sets, into result folders."""

import glob
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from iqasr.evaluation.evaluate import evaluate
from iqasr.metrics import Metric
from iqasr.options.sections import Options
from iqasr.runtime.atomic_files import write_json, write_text_atomically
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import OptionError
from iqasr.runtime.paths import natural_order, resolve

logger = logging.getLogger('iqasr')


def find_checkpoints(patterns: Sequence[str]) -> list[Path]:
    """Find the files that ``--checkpoints`` names.

    Args:
        patterns: Paths, or patterns such as ``models/net_g_*.pth``.

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
        if not matches:
            raise OptionError(f'--checkpoints {pattern}: there is no such file.')
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


def evaluate_sets(
    options: Options,
    restore: Callable[[Tensor], Tensor] | None,
    sets: Mapping[str, Any],
    metrics: Sequence[Metric],
    *,
    name: str,
    root: Path,
    process: Process,
) -> None:
    """Restore and measure every test set; write what came out.

    Args:
        options: The checked option file, as it is written to the folder.
        restore: As in `evaluate`.
        sets: Data sets by name.
        metrics: What is measured.
        name: What reports call these results.
        root: The result folder: ``summary.json``, ``<set>.csv``, ``options.yml``, and the images in
            ``visualization/<set>/``.
        process: This process.
    """
    summary: dict[str, Any] = {
        'name': name,
        'better': {m.name: m.better for m in metrics},
        'sets': {},
    }
    ending = options.val.suffix or options.name
    for key, dataset in sets.items():
        images = root / 'visualization' / key

        def save_to(image: str, images: Path = images) -> Path:
            return images / f'{image}_{ending}.png'

        result = evaluate(
            restore,
            dataset,
            metrics,
            name=key,
            process=process,
            save_to=save_to if options.val.save_img else None,
        )
        means = result.means()
        summary['sets'][key] = {'means': means, 'files': result.files}
        if process.is_main:
            result.write_csv(root / f'{key}.csv')
        numbers = ', '.join(f'{m.name}{m.arrow} {means[m.name]:.4f}' for m in metrics)
        logger.info('%s, %s, %d images: %s', name, key, len(result.rows), numbers)
    if process.is_main:
        write_text_atomically(options.as_yaml(), root / 'options.yml')
        write_json(summary, root / 'summary.json')
