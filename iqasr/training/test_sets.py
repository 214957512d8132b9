"""The checkpoints of a test, and the files of its results."""

import glob
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from iqasr.evaluation.evaluate import Result, dataset_name, evaluate
from iqasr.metrics import Metric, build_metrics
from iqasr.options.sections import Options
from iqasr.pretrained import CATALOGUE, find_weights, is_known
from iqasr.registry import nearest
from iqasr.runtime.atomic_files import write_json, write_text_atomically
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import OptionError
from iqasr.runtime.paths import natural_order, resolve

logger = logging.getLogger('iqasr')


class RestoredImages:
    """Measures images that are restored already, as a model is validated.

    Args:
        options: The checked option file.
        process: This process.
    """

    def __init__(self, options: Options, process: Process) -> None:
        self.process = process
        self.metrics, self.missing_metrics = build_metrics(
            options.val.metrics,
            options.val.panel,
            panel_crop_border=options.val.panel_crop_border,
            device=process.device,
        )

    def validation(self, dataloader: DataLoader, current_iter: str, *_: Any) -> Result:
        """Measure a data set; see `RestorationModel.validation`."""
        dataset = dataloader.dataset
        result = evaluate(
            None, dataset, self.metrics, name=dataset_name(dataset), process=self.process
        )
        logger.info('%s, %s', current_iter, result.summary(self.metrics))
        return result


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
