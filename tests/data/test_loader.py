import itertools
import multiprocessing
import os
import random
import shutil
import signal

import numpy as np
import pytest
import torch
from basicsr.data.data_sampler import EnlargedSampler
from torch.utils.data import Dataset

from iqasr.data import build_dataset
from iqasr.data.loader import PlacedDataset, PositionSampler, training_stream
from iqasr.options.sections import LoaderOptions
from iqasr.runtime.errors import DataError


def take(sampler, count):
    return list(itertools.islice(iter(sampler), count))


def test_first_epoch_has_the_order_of_basicsr():
    ours = [index for batch in take(PositionSampler(7, 3, enlarge=3), 7) for _, index in batch]
    theirs = EnlargedSampler(range(7), num_replicas=1, rank=0, ratio=3)
    theirs.set_epoch(0)
    assert ours == list(theirs)


def test_every_image_once_per_epoch_and_orders_differ():
    indices = [index for batch in take(PositionSampler(6, 2), 9) for _, index in batch]
    epochs = [indices[i : i + 6] for i in (0, 6, 12)]
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_starting_later_continues_the_same_stream():
    whole = take(PositionSampler(5, 2, seed=3), 9)
    assert take(PositionSampler(5, 2, seed=3, start=8), 5) == whole[4:]


@pytest.mark.parametrize('world_size', [2, 3])
def test_processes_share_the_batch_of_one(world_size):
    alone = take(PositionSampler(11, 6), 4)
    shares = [
        take(PositionSampler(11, 6 // world_size, rank=r, world_size=world_size), 4)
        for r in range(world_size)
    ]
    for batch, *parts in zip(alone, *shares, strict=True):
        assert sorted(batch) == sorted(itertools.chain(*parts))


def test_without_shuffling_the_order_is_that_of_the_set():
    batches = take(PositionSampler(4, 3, shuffle=False), 2)
    assert [index for batch in batches for _, index in batch] == [0, 1, 2, 3, 0, 1]


class GlobalDraws(Dataset):
    """Draws from the global generators, as the data sets of BasicSR do."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.tensor([random.random(), np.random.rand(), torch.rand(()).item(), index])


def stream(workers, start=0, count=6, seed=0):
    options = LoaderOptions(type='x', batch_size_per_gpu=2, num_worker_per_gpu=workers)
    with training_stream(GlobalDraws(), options, seed=seed, start=start) as batches:
        return torch.stack([batch for (batch,) in itertools.islice(batches, count)])


def test_draws_do_not_depend_on_the_number_of_workers():
    alone = stream(0)
    assert torch.equal(alone, stream(1))
    assert torch.equal(alone, stream(2))


def test_every_epoch_sees_fresh_draws():
    draws = stream(0).flatten(0, 1)  # twelve samples: three epochs of four images
    assert len({tuple(row[:3].tolist()) for row in draws}) == 12


def test_a_resumed_stream_continues():
    assert torch.equal(stream(2, start=6, count=3), stream(2)[3:])


def test_seeds_differ():
    assert not torch.equal(stream(0, seed=0), stream(0, seed=1))


def failing_stream():
    options = LoaderOptions(type='x', num_worker_per_gpu=2)
    with training_stream(GlobalDraws(), options, seed=0) as batches:
        next(batches)
        assert len(multiprocessing.active_children()) == 2
        raise KeyError


def test_workers_end_with_the_stream_also_after_an_error():
    with pytest.raises(KeyError):
        failing_stream()
    assert multiprocessing.active_children() == []


def test_a_killed_worker_is_told_by_the_next_batch_and_interrupts_nothing_else():
    options = LoaderOptions(type='x', num_worker_per_gpu=2)
    before = signal.getsignal(signal.SIGCHLD)
    with training_stream(GlobalDraws(), options, seed=0) as batches:
        next(batches)
        killed = multiprocessing.active_children()[0]
        os.kill(killed.pid, signal.SIGKILL)
        killed.join()
        with pytest.raises(RuntimeError, match='A worker that reads images has ended'):
            take(batches, 20)
    assert signal.getsignal(signal.SIGCHLD) is before


class Vanishing(GlobalDraws):
    """Its file is away for a number of reads, each after a draw."""

    def __init__(self, times):
        self.times, self.reads = times, 0

    def __getitem__(self, index):
        item, self.reads = super().__getitem__(index), self.reads + 1
        if self.reads <= self.times:
            raise OSError(116, 'Stale file handle', 'a.png')
        return item


def test_a_file_that_comes_back_gives_the_same_item(monkeypatch):
    monkeypatch.setattr('iqasr.data.loader.PAUSES', (0.0, 0.0))
    data = Vanishing(2)
    assert torch.equal(PlacedDataset(data, 3)[7, 1], PlacedDataset(GlobalDraws(), 3)[7, 1])
    assert data.reads == 3


def test_a_file_that_stays_away_is_named_after_three_reads(monkeypatch):
    monkeypatch.setattr('iqasr.data.loader.PAUSES', (0.0, 0.0))
    data = Vanishing(9)
    with pytest.raises(DataError, match=r"^Vanishing, item 1: cannot .*Stale file.*'a.png'"):
        PlacedDataset(data, 3)[7, 1]
    assert data.reads == 3


@pytest.mark.parametrize('workers', [0, 1])
def test_a_damaged_image_is_named_without_the_traceback_of_a_worker(
    workers, paired_options, pairs, tmp_path
):
    section = paired_options['datasets']['train']
    for name in ('gt', 'lq'):
        shutil.copytree(pairs / name, tmp_path / name)
        section[f'dataroot_{name}'] = str(tmp_path / name)
    data = build_dataset(section, scale=4, phase='train')
    damaged = tmp_path / 'gt/03.png'
    damaged.write_bytes(b'no image')
    options = LoaderOptions(type='x', batch_size_per_gpu=10, num_worker_per_gpu=workers)
    with training_stream(data, options, seed=0) as batches, pytest.raises(DataError) as caught:
        next(batches)
    assert str(caught.value).startswith('PairedImageDataset, item 3 (')
    assert str(damaged) in str(caught.value)
    assert 'Traceback' not in str(caught.value)
