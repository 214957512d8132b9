"""Restore a test set with a network and measure every image."""

import csv
import io
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from iqasr.checkpoint import write_json, write_text_atomically
from iqasr.data.loader import keep_to_one_core
from iqasr.distributed import Process
from iqasr.metrics import Metric

logger = logging.getLogger('iqasr')


@dataclass
class Result:
    """What came out for one test set."""

    dataset: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    """One per image: ``name`` and the value of each metric."""

    files: dict[str, dict[str, str]] = field(default_factory=dict)
    """By image name: the paths of ``lq``, ``gt`` and ``output``, as far as there are files."""

    def means(self) -> dict[str, float]:
        """Mean of each metric over the images that have a value."""
        names = [name for name in self.rows[0] if name != 'name'] if self.rows else []
        columns = {name: np.array([row[name] for row in self.rows], float) for name in names}
        return {
            name: float(np.nanmean(values)) if np.isfinite(values).any() else float('nan')
            for name, values in columns.items()
        }

    def write_csv(self, path: Path) -> None:
        """Write one line per image."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self.rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(self.rows)
        write_text_atomically(text.getvalue(), path)


def image_of(tensor: Tensor) -> np.ndarray:
    """Turn :math:`(3, H, W)` RGB in [0, 1] into ``(H, W, 3)`` uint8 BGR in [0, 255]."""
    array = (tensor.detach().float().clamp(0, 1) * 255).round().byte().cpu().numpy()
    return array.transpose(1, 2, 0)[..., ::-1].copy()


def evaluate(
    restore: Callable[[Tensor], Tensor],
    dataset: Any,
    metrics: Sequence[Metric],
    *,
    name: str,
    process: Process,
    workers: int = 0,
    base: Callable[[Tensor], Tensor] | None = None,
    save_to: Callable[[str], Path] | None = None,
    show: Callable[[str, np.ndarray, np.ndarray, np.ndarray | None], None] | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Result | None:
    """Restore every image of a test set and measure it.

    Args:
        restore: From ``lq`` :math:`(1, 3, H, W)` to output, both RGB in [0, 1].
        dataset: Items with ``lq``, ``lq_path`` and, if there is one, ``gt`` (float RGB in [0, 1]).
        metrics: What is measured.
        name: Name of the test set.
        process: Images are shared out over the processes.
        workers: Loader workers.
        base: As `restore`, the network before training; asked only if a metric needs it.
        save_to: Path of the restored image, given its name; None saves none.
        interrupted: Asked between images whether to give up.
        show: Called with name, input, output and ground truth (uint8 BGR) of each image.

    Returns:
        The rows of all images, on every process, in the order of the set; None if given up.
    """
    mine = list(range(process.rank, len(dataset), process.world_size))
    loader = DataLoader(Subset(dataset, mine), num_workers=workers, worker_init_fn=keep_to_one_core)
    found = []
    for index, item in zip(mine, progress(loader, name, process), strict=True):
        if interrupted():
            break
        key = Path(item['lq_path'][0]).stem
        lq = item['lq'].to(process.device)
        output, small = image_of(restore(lq)[0]), image_of(lq[0])
        gt = image_of(item['gt'][0]) if 'gt' in item else None
        check_size(output, gt, f'{name}: the output for {key}')
        images = {'img': output, 'img2': gt, 'lq': small}
        if base is not None and any('base' in metric.needs for metric in metrics):
            images['base'] = image_of(base(lq)[0])
        files = {what: item[f'{what}_path'][0] for what in ('lq', 'gt') if f'{what}_path' in item}
        if save_to is not None:
            files['output'] = str(save_to(key))
            write_image(save_to(key), output)
        if show is not None:
            show(key, small, output, gt)
        row = {'name': key} | {m.name: measure(m, key, images) for m in metrics}
        found.append((index, row, files))
    everyone = sorted((f for part in process.gather(found) for f in part), key=lambda f: f[0])
    if len(everyone) < len(dataset):
        return None
    files_by_name = {row['name']: files for _, row, files in everyone}
    return Result(name, [row for _, row, _ in everyone], files_by_name)


def check_size(output: np.ndarray, gt: np.ndarray | None, what: str) -> None:
    """Make sure that an output is as large as its ground truth, if there is one.

    Raises:
        ValueError: If not.
    """
    if gt is not None and gt.shape != output.shape:
        raise ValueError(
            f'{what} is {output.shape[:2]}, its ground truth {gt.shape[:2]}; check `scale` and the '
            'pairing of the test set.'
        )


def measure(metric: Metric, key: str, images: Mapping[str, np.ndarray | None]) -> float:
    """Evaluate a metric; where it has no value (an image too small for it), NaN and a warning."""
    try:
        return metric(images)
    except Exception as error:  # whatever a metric fails with, it is no reason to stop training
        logger.warning('%s has no value for %s: %s', metric.name, key, error)
        return float('nan')


def progress(loader: Iterable[Any], label: str, process: Process) -> Iterable[Any]:
    """Show a bar on the terminal of the main process."""
    return tqdm(
        loader, desc=label, unit='image', leave=False, disable=None if process.is_main else True
    )


def write_image(path: Path, image: np.ndarray) -> None:
    """Save an image (uint8 BGR).

    Raises:
        OSError: If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image):
        raise OSError(f'{path}: cannot be written; is the disk full?')


def side_by_side(lq: np.ndarray, output: np.ndarray, gt: np.ndarray | None) -> Tensor:
    """Join input (enlarged to the size of the output), output and ground truth.

    Returns:
        :math:`(3, H, 3W)` RGB in [0, 1], as TensorBoard takes it; :math:`(3, H, 2W)` without one.
    """
    height, width = output.shape[:2]
    enlarged = cv2.resize(lq, (width, height), interpolation=cv2.INTER_NEAREST)
    enlarged = enlarged.reshape(output.shape)  # OpenCV drops the axis of a single channel
    images = [enlarged, output, *([gt] if gt is not None else [])]
    joined = np.concatenate(images, axis=1)[..., ::-1]
    return torch.from_numpy(joined.transpose(2, 0, 1).copy()).float().div(255)


class Best:
    """The best value of every metric so far, and when it came; kept in a file of the run.

    Args:
        iteration: Iteration of the last validation.
        records: ``value`` and ``iteration`` by ``<set>/<metric>``.
    """

    def __init__(self, iteration: int = 0, records: Mapping[str, Any] | None = None) -> None:
        self.iteration = iteration
        self.records: dict[str, Any] = dict(records or {})

    @classmethod
    def read(cls, path: Path, until: int) -> 'Best':
        """Read what `write` wrote, as far as it lies not beyond iteration `until`."""
        if not path.is_file():
            return cls()
        content = json.loads(path.read_text(encoding='utf-8'))
        records = {k: r for k, r in content['records'].items() if r['iteration'] <= until}
        return cls(min(content['iteration'], until), records)

    def write(self, path: Path) -> None:
        """Write to a file."""
        write_json({'iteration': self.iteration, 'records': self.records}, path)

    def update(self, result: Result, metrics: Sequence[Metric], iteration: int) -> str:
        """Take in a validation.

        Returns:
            A line for the log.
        """
        texts = []
        for metric in metrics:
            value = result.means()[metric.name]
            key = f'{result.dataset}/{metric.name}'
            best = self.records.get(key)
            record = np.isfinite(value) and metric.better is not None
            if record and (best is None or metric.is_better(value, best['value'])):
                best = self.records[key] = {'value': value, 'iteration': iteration}
            best_text = f' (best {best["value"]:.4f} @ {best["iteration"]})' if best else ''
            texts.append(f'{metric.name}{metric.arrow} {value:.4f}{best_text}')
        return f'{result.dataset} @ {iteration}: ' + ', '.join(texts)
