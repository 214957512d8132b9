"""Restore a test set with a network and measure every image."""

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from iqasr.evaluation.measured_images import MeasuredImages
from iqasr.metrics import Metric
from iqasr.runtime.atomic_files import write_bytes_atomically, write_csv
from iqasr.runtime.distributed import Process
from iqasr.runtime.overlap import ahead
from iqasr.runtime.weights import listing_of

logger = logging.getLogger('iqasr')

THREADS = min(4, os.cpu_count() or 1)
"""Images measured at a time, beside the network."""


NO_VALUE = 'no metric has a value'


@dataclass
class Result:
    """The values of all metrics on one test set."""

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

    def summary(self, metrics: Sequence[Metric]) -> str:
        """Put the means into a line for the log, but for metrics without a value."""
        means = {name: mean for name, mean in self.means().items() if not np.isnan(mean)}
        numbers = [f'{m.name}{m.arrow} {means[m.name]:.4f}' for m in metrics if m.name in means]
        return f'{self.dataset}, {len(self.rows)} images: {", ".join(numbers) or NO_VALUE}'

    def write_csv(self, path: Path) -> None:
        """Write one line per image."""
        write_csv(list(self.rows[0]), self.rows, path)


def dataset_name(dataset: Any) -> str:
    """Name a data set, as its section of the option file does."""
    return getattr(dataset, 'opt', {}).get('name') or type(dataset).__name__


def image_of(tensor: Tensor) -> np.ndarray:
    """Turn :math:`(3, H, W)` RGB, uint8 or in [0, 1], into ``(H, W, 3)`` uint8 BGR in [0, 255]."""
    if tensor.dtype != torch.uint8:
        tensor = tensor.detach().float().clamp(0, 1).mul_(255).round_().byte()
    image = cv2.merge(tensor.flip(0).cpu().numpy())
    return image.reshape(*image.shape[:2], -1)  # OpenCV drops the axis of a single channel


def evaluate(
    restore: Callable[[Tensor], Tensor],
    dataset: Any,
    metrics: Sequence[Metric],
    *,
    name: str,
    process: Process,
    threads: int = THREADS,
    base: Callable[[Tensor], Tensor] | None = None,
    save_to: Callable[[str], Path] | None = None,
    show: Callable[[str, np.ndarray, np.ndarray, np.ndarray | None], None] | None = None,
    interrupted: Callable[[], bool] = lambda: False,
    measured: MeasuredImages = MeasuredImages(None),  # noqa: B008 - has no state
) -> Result | None:
    """Restore every image of a test set and measure it.

    While the network works, a thread reads the next image, and others measure and save the last.

    Args:
        restore: From ``lq`` :math:`(1, 3, H, W)` to output, both RGB in [0, 1]; not asked where the
            items have an ``output``.
        dataset: Items as `EvaluationDataset` or BasicSR's data sets return them.
        metrics: The metrics.
        name: Name of the test set.
        process: Images are shared out over the processes.
        threads: Images measured at a time; the result does not depend on it.
        base: As `restore`, the network before training; asked only if a metric needs it.
        save_to: Path of the restored image, given its name; None saves none.
        show: Called with name, input, output and ground truth (uint8 BGR) of each image.
        interrupted: Asked between images whether to give up.
        measured: Images that need no more work; receives the others as they are done.

    Returns:
        The rows of all images, on every process, in the order of the set; None if given up.
    """
    done = measured.read()
    mine = [i for i in range(process.rank, len(dataset), process.world_size) if i not in done]
    own: dict[int, tuple[dict[str, Any], dict[str, str]]] = {}
    failures: list[tuple[str, str, str]] = []
    base = base if any('base' in metric.needs for metric in metrics) else None

    def outputs(items: Iterable[dict[str, Any]]) -> Iterator[Sample]:
        for item in items:
            if interrupted():
                return
            sample = restore_item(item, restore, base, process.device)
            check_size(sample, name)
            if show is not None:
                images = sample.images
                show(sample.name, images['lq'], images['img'], next(iter(images['img2']), None))
            yield sample

    def finish(sample: Sample) -> tuple[dict[str, Any], dict[str, str]]:
        if save_to is not None and 'output' not in sample.files:
            sample.files['output'] = str(save_to(sample.name))
            write_image(save_to(sample.name), sample.images['img'])
        values = {m.name: measure(m, sample.name, sample.images, failures) for m in metrics}
        return {'name': sample.name} | values, sample.files

    with (
        process.failing_together(f'validate on {name}'),
        ThreadPoolExecutor(1) as reader,
        ThreadPoolExecutor(threads) as pool,
    ):
        read = getattr(dataset, 'read', dataset.__getitem__)  # in 8 bits, if it can be had so
        samples = outputs(ahead(reader, read, mine, 2))
        finished = ahead(pool, finish, samples, threads + 1)
        hidden = None if process.is_main else True  # None: shown on a terminal only
        bar = {'desc': name, 'unit': 'image', 'leave': False, 'disable': hidden}
        shown = tqdm(finished, total=len(mine), **bar)
        for outcome, index in zip(shown, mine, strict=False):  # fewer, if given up
            own[index] = outcome
            measured.add(index, *outcome)
    for part in process.gather(own):
        done |= part
    log_failures(name, chain(*process.gather(failures)))
    if len(done) < len(dataset):
        return None
    everyone = [done[index] for index in sorted(done)]
    rows = [row for row, _ in everyone]
    return Result(name, rows, {row['name']: files for row, files in everyone})


@dataclass
class Sample:
    """One image, restored, and its ground truths."""

    name: str
    images: dict[str, Any]
    """By the names in `iqasr.metrics.IMAGES`; ``img2`` is a list of any number of ground truths."""
    files: dict[str, str]


def restore_item(
    item: Mapping[str, Any],
    restore: Callable[[Tensor], Tensor],
    base: Callable[[Tensor], Tensor] | None,
    device: torch.device,
) -> Sample:
    """Restore an item of a data set, as far as it is not restored yet."""
    lq = item['lq'].to(device)[None] if 'lq' in item else None
    if lq is not None and lq.dtype == torch.uint8:
        lq = lq.float() / 255
    gt = item.get('gt', [])
    images = {
        'img': image_of(item['output'] if 'output' in item else restore(lq)[0]),
        'img2': [image_of(one) for one in (gt if isinstance(gt, list) else [gt])],
        'lq': None if lq is None else image_of(lq[0]),
        'base': None if base is None else image_of(base(lq)[0]),
    }
    kinds = ('lq', 'gt', 'output')
    files = {kind: item[f'{kind}_path'] for kind in kinds if f'{kind}_path' in item}
    return Sample(item.get('key') or Path(item['lq_path']).stem, images, files)


def check_size(sample: Sample, dataset: str) -> None:
    """Make sure that an output is as large as its ground truths, if there are any.

    Raises:
        ValueError: If not.
    """
    shape = sample.images['img'].shape
    for gt in sample.images['img2']:
        if gt.shape != shape:
            raise ValueError(
                f'{dataset}: the output for {sample.name} is {shape[:2]}, its ground truth '
                f'{gt.shape[:2]}; check `scale` and the pairing of the test set.'
            )


def measure(
    metric: Metric, key: str, images: Mapping[str, Any], failures: list[tuple[str, str, str]]
) -> float:
    """Evaluate a metric; where it has no value (an image too small for it), NaN.

    Args:
        metric: The metric.
        key: Name of the image.
        images: By the names in `iqasr.metrics.IMAGES`.
        failures: Receives the metric, the reason and the image, if there is no value.
    """
    try:
        return metric(images)
    except Exception as error:  # whatever a metric fails with, it is no reason to stop training
        failures.append((metric.name, str(error), key))
        return float('nan')


def log_failures(dataset: str, failures: Iterable[tuple[str, str, str]]) -> None:
    """Say once for each metric and reason how many images have no value."""
    groups = defaultdict(list)
    for metric, reason, image in failures:
        groups[metric, reason].append(image)
    for (metric, reason), images in groups.items():
        count = f'{len(images)} image{"s" * (len(images) > 1)}'
        logger.warning(
            '%s: %s has no value for %s (%s): %s',
            dataset,
            metric,
            count,
            listing_of(sorted(images)),
            reason,
        )


def write_image(path: Path, image: np.ndarray) -> None:
    """Save an image (uint8 BGR), in a folder that is made if need be; atomically.

    Raises:
        StorageError: If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(cv2.imencode(path.suffix, image)[1].tobytes(), path)


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
