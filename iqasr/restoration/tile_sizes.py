"""Tiles as large as the memory at hand allows, and as much around them as the network sees."""

import logging
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from iqasr.runtime.textures import random_texture

logger = logging.getLogger('iqasr')

STEP_PX = 64
"""Tiles and overlaps fit windows of up to this size, which then lie as in the whole picture."""

LARGEST_TILE_PX = {'cpu': 512, 'cuda': 1024}
"""Larger tiles gain nothing."""

OVERLAPS_PX = (8, 16, 32, 64, 96)
TOLERANCE = 1 / (4 * 255)
"""A quarter of a level of 8 bits: how far tiles may be from the whole."""

PROBE_PX = 64
WORKSPACE = 1.5
"""What convolutions need beside their inputs and outputs, as a factor on these."""

SHARE_OF_FREE_MEMORY = {'cpu': 0.5, 'cuda': 0.7}

CGROUP = Path('/sys/fs/cgroup')
MEMORY_LIMITS = (('memory.max', 'memory.current'),
                 ('memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes'))  # fmt: skip

Restore = Callable[[Tensor], Tensor]
"""From :math:`(1, 3, H, W)` to :math:`(1, 3, sH, sW)`."""


def choose_tile(cost: Callable[[int], float], budget: float, most_px: int) -> int:
    """Choose the side of the largest tile that fits into the memory.

    Args:
        cost: Bytes that tiles of a side need.
        budget: Memory there is, in bytes.
        most_px: Largest side, a multiple of `STEP_PX`.

    Returns:
        A multiple of `STEP_PX`; that itself if nothing fits.

    Example:
        >>> choose_tile(lambda side: 1000 * (side + 32) ** 2, budget=1000 * 288**2, most_px=512)
        256
    """
    sides = range(most_px, STEP_PX, -STEP_PX)
    return next((side for side in sides if cost(side) <= budget), STEP_PX)


def free_memory(device: torch.device) -> float:
    """Find the bytes that may be used on a device: a share of what is free."""
    if device.type == 'cuda':
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = min([free_in_system(), *free_in_cgroups()])
    return free * SHARE_OF_FREE_MEMORY[device.type]


def free_in_system() -> int:
    """Ask the system how many bytes are free; where it does not tell, they are taken for 4 GB."""
    try:
        return os.sysconf('SC_AVPHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    except (AttributeError, ValueError, OSError):
        return 4 * 10**9


def free_in_cgroups() -> list[int]:
    """Read how much a container may still take, where it is limited."""
    free = []
    for limit, used in MEMORY_LIMITS:
        try:
            values = [int((CGROUP / name).read_text(encoding='utf-8')) for name in (limit, used)]
        except (OSError, ValueError):
            continue
        free.append(max(0, values[0] - values[1]))
    return free


@torch.no_grad()
def measure_bytes_per_pixel(restore: Restore, device: torch.device) -> float:
    """Measure the memory that a network needs at most, for each pixel of its input."""
    with LiveBytes() as live:
        restore(torch.zeros(1, 3, PROBE_PX, PROBE_PX, device=device))
    return WORKSPACE * live.peak / PROBE_PX**2


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that operations make while they are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self.storages[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.storages = {k: v for k, v in self.storages.items() if not v[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self.storages.values()))
        return result


@torch.no_grad()
def find_overlap(restore: Restore, scale: int, device: torch.device) -> int:
    """Find how far a network sees, as far as it matters.

    The middle of a random texture is restored with more and more around it, until the next of
    `OVERLAPS_PX` changes no pixel by more than `TOLERANCE`. A network that sees all of a picture
    gets the largest overlap, and a warning says that its tiles are not what the whole gives.

    Args:
        restore: The network.
        scale: How many times it enlarges.
        device: Where it is.

    Returns:
        One of `OVERLAPS_PX`.
    """
    middle = OVERLAPS_PX[0]
    side = middle + 2 * OVERLAPS_PX[-1]
    texture = random_texture(side, side).to(device)

    def restore_middle(around: int) -> Tensor:
        first = (side - middle) // 2 - around
        seen = slice(first, first + middle + 2 * around)
        kept = slice(around * scale, (around + middle) * scale)
        return restore(texture[..., seen, seen])[..., kept, kept].float()

    narrow = restore_middle(OVERLAPS_PX[0])
    for overlap, wider in pairwise(OVERLAPS_PX):
        wide = restore_middle(wider)
        change = float((wide - narrow).abs().max())
        if change <= TOLERANCE:
            return overlap
        narrow = wide
    logger.warning(
        'This network sees far: tiles are an approximation. With %s instead of %s px around it, a '
        'pixel of a texture changes by up to %.1f levels of 255; compared with a picture restored '
        'whole, the difference may be larger.',
        OVERLAPS_PX[-1],
        OVERLAPS_PX[-2],
        255 * change,
    )
    return OVERLAPS_PX[-1]
