"""The training stream: the order of samples, and the random numbers of each.

A run is one endless stream of samples, numbered by *position*. Epoch, index and every random draw
are functions of the position; the batch at a position is the same whatever the number of workers
or processes, and a resumed run continues at the position where it stopped.

Source:
    The order within an epoch is that of BasicSR's ``EnlargedSampler`` (``data/data_sampler.py``) at
    ``manual_seed: 0``.
"""

import itertools
import logging
import math
import random  # noqa: TID251 - seeded for the data sets of BasicSR, which draw from it
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Sampler

from iqasr.options.sections import LoaderOptions
from iqasr.runtime.errors import DataError, InputError
from iqasr.runtime.randomness import generator_at, seed_of

logger = logging.getLogger('iqasr')

PAUSES = (1.0, 4.0)
"""Seconds before a file that cannot be read is tried again: a network disk may come back."""


@dataclass(eq=False)
class PositionSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (position, index) without end, each process taking its share of every batch.

    Args:
        size: Number of images in the data set.
        batch_size: Samples per process and batch.
        enlarge: An epoch passes over the images this many times.
        shuffle: Draw a new order every epoch, or keep the order of the data set.
        seed: Seed of the orders.
        start: Position of the first sample.
        rank: This process.
        world_size: Number of processes.
    """

    size: int
    batch_size: int
    _: KW_ONLY
    enlarge: float = 1
    shuffle: bool = True
    seed: int = 0
    start: int = 0
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        self.epoch_size = math.ceil(self.size * self.enlarge)

    def order(self, epoch: int) -> torch.Tensor:
        """Order of the indices in an epoch."""
        if not self.shuffle:
            return torch.arange(self.epoch_size) % self.size
        generator = torch.Generator().manual_seed(self.seed + epoch)
        return torch.randperm(self.epoch_size, generator=generator) % self.size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Yield this process's share of every batch, from `start` on."""
        epoch, order = -1, torch.empty(0)
        position = self.start
        while True:
            batch = []
            for place in range(position, position + self.batch_size * self.world_size):
                if place // self.epoch_size != epoch:
                    epoch = place // self.epoch_size
                    order = self.order(epoch)
                if (place - position) % self.world_size == self.rank:
                    batch.append((place, int(order[place % self.epoch_size])))
            yield batch
            position += self.batch_size * self.world_size


class PlacedDataset(Dataset):
    """A data set whose random draws are a function of the position in the stream.

    A data set with a method ``draw(index, generator)`` receives its generator; for others, which
    draw from global generators as BasicSR's do, those are seeded before each item.

    Args:
        dataset: Any map-style data set.
        seed: Seed of the run.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __getitem__(self, place: tuple[int, int]) -> Any:
        """Return the item for a (position, index); a dict of it carries its ``position``.

        Raises:
            DataError: If it cannot be read, or not any more after `PAUSES`.
        """
        position, index = place
        item = self.read(position, index)
        return item | {'position': position} if isinstance(item, dict) else item

    def read(self, position: int, index: int) -> Any:
        """Read an item, again after each of the `PAUSES` if its file cannot be read."""
        for pause in (*PAUSES, None):
            try:
                return self.draw(position, index)
            except InputError:
                raise
            except Exception as error:  # what damaged data leads to in data sets of others
                reason = f'{self.name(index)}: cannot be read ({type(error).__name__}: {error})'
                if pause is None or not isinstance(error, OSError):
                    raise DataError(f'{reason}. Mend it, or take it out.') from error
                logger.warning('%s; tried again in %g s.', reason, pause)
                time.sleep(pause)

    def draw(self, position: int, index: int) -> Any:
        """Read an item with the random draws of its position."""
        if hasattr(self.dataset, 'draw'):
            return self.dataset.draw(index, generator_at(self.seed, 'item', position))
        seed = seed_of(self.seed, 'item', position)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - as above
        torch.manual_seed(seed)
        return self.dataset[index]

    def name(self, index: int) -> str:
        """Name an item, with its files where the data set lists them as those of BasicSR do."""
        paths = getattr(self.dataset, 'paths', [])
        found = paths[index : index + 1] if isinstance(paths, list) else []
        files = [f for own in found for f in (own.values() if isinstance(own, dict) else [own])]
        listed = f' ({", ".join(map(str, files))})' if files else ''
        return f'{type(self.dataset).__name__}, item {index}{listed}'


def loader_options(section: Mapping[str, Any]) -> LoaderOptions:
    """Select the loader's options from the section of a data set."""
    known = LoaderOptions.model_fields
    return LoaderOptions(**{key: value for key, value in section.items() if key in known})


@contextmanager
def left_unopened(dataset: Any) -> Iterator[None]:
    """Read a data set of BasicSR and leave it as it was: an open LMDB cannot be sent to workers."""
    members = dataset.datasets if isinstance(dataset, ConcatDataset) else [dataset]
    backends = [dict(getattr(member, 'io_backend_opt', {})) for member in members]
    yield
    for member, backend in zip(members, backends, strict=True):
        if getattr(member, 'file_client', None) is not None:
            member.file_client, member.io_backend_opt = None, backend


@contextmanager
def training_stream(
    dataset: Any,
    options: LoaderOptions,
    *,
    seed: int,
    accumulate: int = 1,
    **place: int,
) -> Iterator[Iterator[list[Any]]]:
    """Open the training stream; its workers are started once and end with the context.

    Args:
        dataset: What is read.
        options: Batch size, workers, enlargement.
        seed: Seed of the run.
        accumulate: Batches that belong to one iteration.
        place: ``start``, ``rank`` and ``world_size``, as in `PositionSampler`.

    Yields:
        The batches of each iteration, without end; or a DataError.
    """
    sampler = PositionSampler(
        len(dataset),
        options.batch_size_per_gpu,
        enlarge=options.dataset_enlarge_ratio,
        shuffle=options.use_shuffle,
        seed=seed,
        **place,
    )
    loader = DataLoader(
        PlacedDataset(dataset, seed),
        batch_sampler=sampler,
        num_workers=options.num_worker_per_gpu,
        pin_memory=options.pin_memory and torch.cuda.is_available(),
        worker_init_fn=set_up_worker,
    )
    batches = start(loader)
    try:
        yield (take(batches, accumulate) for _ in itertools.count())
    finally:
        # Left to the interpreter, which would end them by a signal they ignore, it would hang.
        if options.num_worker_per_gpu:
            batches._shutdown_workers()


def start(loader: DataLoader) -> Iterator[Any]:
    """Start the workers of a loader.

    torch has the death of a worker raised wherever the main thread is, in the midst of a step or of
    saving. Without its handler, the next batch raises it: where it can be dealt with.
    """
    before = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)
    if signal.getsignal(signal.SIGCHLD) is not before:
        signal.signal(signal.SIGCHLD, before)
    return batches


def take(batches: Iterator[Any], count: int) -> list[Any]:
    """Take so many batches.

    Raises:
        DataError: If an item cannot be read.
        RuntimeError: If a worker has ended.
    """
    try:
        return [next(batches) for _ in range(count)]
    except DataError as error:
        # Of a worker, torch gives the whole traceback, which ends with the message.
        raise DataError(str(error).rpartition(f'{DataError.__name__}: ')[2].strip()) from error
    except (EOFError, ConnectionError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and 'exited unexpectedly' not in str(error):
            raise  # such as of crops of different sizes
        raise RuntimeError(
            f'A worker that reads images has ended ({error!r}). If the system has killed it for '
            'want of memory, take fewer: datasets.train.num_worker_per_gpu.'
        ) from error


def set_up_worker(_: int) -> None:
    """Keep a worker to one core: the workers are the parallelism.

    A signal to the whole group is left to the main process, so that the iteration can be finished.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
