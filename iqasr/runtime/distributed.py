"""One process per device: where this process stands among the others.

Scale-out is PyTorch's own: ``torchrun`` starts the processes, ``DistributedDataParallel`` averages
their gradients.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from iqasr.runtime.allocator import keep_freed_memory
from iqasr.runtime.errors import InputError

logger = logging.getLogger('iqasr')

CPU = torch.device('cpu')


@dataclass(frozen=True)
class Process:
    """This process: its rank, the number of processes, and its device."""

    rank: int = 0
    world_size: int = 1
    device: torch.device = CPU
    control: Any = None
    """Group for messages between the hosts, so that no process waits for its device."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """Collect a picklable value of every process, in order of rank, on every process."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value, group=self.control)
        return values

    def mean(self, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Average scalars over the processes."""
        if self.world_size == 1 or not values:
            return values
        stacked = torch.stack([value.float() for value in values.values()])
        return dict(zip(values, mean_over_processes(stacked), strict=True))

    def any(self, flag: bool) -> bool:
        """Tell whether any process raised the flag; all processes get the same answer."""
        if self.world_size == 1:
            return flag
        raised = torch.tensor([flag], dtype=torch.uint8)  # asked every iteration: no pickling
        dist.all_reduce(raised, dist.ReduceOp.MAX, group=self.control)
        return bool(raised.item())

    @contextmanager
    def failing_together(self, what: str) -> Iterator[None]:
        """Let all processes fail where one does, so that none waits for it.

        Args:
            what: What the processes do, such as ``read its data``.

        Raises:
            Exception: That of this process; an InputError if only another one fails.
        """
        failure = None
        try:
            yield
        except Exception as error:
            failure = error
        if self.any(failure is not None):
            raise failure or InputError(f'Another process cannot {what}; it says why.')

    def wrap(self, network: nn.Module | None, *, find_unused: bool) -> nn.Module | None:
        """Average the gradients of a network over the processes, if there are several."""
        if self.world_size == 1 or network is None:
            return network
        return DistributedDataParallel(
            network,
            device_ids=[self.device.index] if self.device.type == 'cuda' else None,
            find_unused_parameters=find_unused,
        )

    def barrier(self) -> None:
        """Wait for the other processes."""
        if self.world_size > 1:
            dist.barrier(group=self.control)


def join_processes(launcher: str, num_gpu: int | str) -> Process:
    """Find this process's place, and join the others when started by ``torchrun``.

    A process that computes on the CPU keeps freed memory (`keep_freed_memory`).

    Args:
        launcher: ``none`` or ``pytorch``; where ``torchrun`` started this process, that counts.
        num_gpu: As in the option file; 0 keeps to the CPU.

    Raises:
        InputError: If ``--launcher pytorch`` is given without ``torchrun``.
    """
    use_gpu = num_gpu != 0 and torch.cuda.is_available()
    if not use_gpu:
        keep_freed_memory()
    if launcher == 'none' and not dist.is_torchelastic_launched():
        if num_gpu not in ('auto', 0) and not use_gpu:
            logger.warning('num_gpu is %s, but there is no GPU here: running on the CPU.', num_gpu)
        elif num_gpu not in ('auto', 0, 1):
            logger.warning(
                'num_gpu is %s, but one process uses one GPU: start with `torchrun '
                '--nproc_per_node=%s iqasr/train.py ... --launcher pytorch`.',
                num_gpu,
                num_gpu,
            )
        return this_process(use_gpu=use_gpu)
    if 'RANK' not in os.environ:
        raise InputError(
            '--launcher pytorch: start with `torchrun --nproc_per_node=N iqasr/train.py ...`.'
        )
    if use_gpu:
        torch.cuda.set_device(int(os.environ['LOCAL_RANK']))
    dist.init_process_group('nccl' if use_gpu else 'gloo')
    return this_process(use_gpu=use_gpu)


def this_process(*, use_gpu: bool) -> Process:
    """Describe this process, joined to others or not, whoever joined it."""
    device = CPU
    if use_gpu and torch.cuda.is_available():
        device = torch.device('cuda', torch.cuda.current_device())
    if not dist.is_initialized():
        return Process(device=device)
    return Process(dist.get_rank(), dist.get_world_size(), device, control_group())


@cache
def control_group() -> Any:
    """Make the group for messages between the hosts, once in every process."""
    return dist.new_group(backend='gloo')


def mean_over_processes(value: torch.Tensor) -> torch.Tensor:
    """Average a tensor over the processes that have joined, if any; all of them call it."""
    if not dist.is_initialized():
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


def synchronise(network: nn.Module | None, *, last: bool) -> Any:
    """Exchange gradients between processes only at the last of the accumulated batches."""
    wrapped = isinstance(network, DistributedDataParallel)
    return network.no_sync() if wrapped and not last else nullcontext()


def leave_processes() -> None:
    """Undo `join_processes`."""
    if dist.is_initialized():
        dist.destroy_process_group()
        control_group.cache_clear()


@contextmanager
def joined_processes(*, cpu: bool = False) -> Iterator[Process]:
    """Join the processes of ``torchrun``, where it started this one, and leave them at the end.

    Args:
        cpu: Do not use the GPU.
    """
    launcher = 'pytorch' if 'RANK' in os.environ else 'none'
    try:
        yield join_processes(launcher, 0 if cpu else 'auto')
    finally:
        leave_processes()
