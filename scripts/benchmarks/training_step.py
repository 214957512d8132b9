"""Time and memory of a training step: networks of the published sizes, L1 loss, Adam."""

import re
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from iqasr.archs.lora import add_lora
from iqasr.options.lora import LoRAOptions
from iqasr.registry import ARCH_REGISTRY, build
from iqasr.runtime.randomness import generator_at

SWINIR_M = {
    'type': 'SwinIR',
    'upscale': 4,
    'img_size': 48,
    'window_size': 8,
    'img_range': 1.0,
    'depths': [6] * 6,
    'embed_dim': 180,
    'num_heads': [6] * 6,
    'mlp_ratio': 2,
    'upsampler': 'nearest+conv',
}
RRDB = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3}
NETWORKS = {'RRDB-6': RRDB | {'num_block': 6}, 'RRDB-23': RRDB, 'SwinIR-M': SWINIR_M}


class Training:
    """A network that takes training steps on one random crop.

    Args:
        name: Of `NETWORKS`.
        rank: Rank of the adapters; 0 trains the network itself.
        shape: :math:`(N, 3, H, W)` of the low-quality crop.
    """

    def __init__(self, name: str, rank: int, shape: tuple[int, ...]) -> None:
        self.device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
        network: nn.Module = build(ARCH_REGISTRY, NETWORKS[name]).to(self.device)
        parameters = list(network.parameters())
        if rank:
            parameters = add_lora(network, LoRAOptions(rank=rank), generator_at(0))
        self.network, self.count = network, sum(p.numel() for p in parameters)
        self.optimizer = torch.optim.Adam(parameters, lr=1e-4, fused=True)
        self.lq = torch.rand(shape, generator=generator_at(1)).to(self.device)
        self.gt = F.interpolate(self.lq, scale_factor=4)

    def step(self) -> float:
        """Take a step; return its time in seconds."""
        start = time.perf_counter()
        F.l1_loss(self.network(self.lq), self.gt).backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == 'cuda':
            torch.cuda.synchronize()
        return time.perf_counter() - start

    def optimizer_bytes(self) -> int:
        """Count the bytes that the optimiser keeps."""
        states = self.optimizer.state.values()
        return sum(t.nbytes for s in states for t in s.values() if isinstance(t, torch.Tensor))


def peak_bytes(name: str, rank: int, shape: tuple[int, ...]) -> int:
    """Measure the peak memory of two steps: of the device, or of a fresh process (Linux)."""
    training = Training(name, rank, shape)
    for _ in range(2):
        training.step()
    if training.device.type == 'cuda':
        return torch.cuda.max_memory_allocated()
    # ru_maxrss would count the parent's memory too.
    status = Path('/proc/self/status').read_text(encoding='utf-8')
    return int(re.search(r'VmHWM:\s+(\d+) kB', status)[1]) * 1024


def compare(name: str, rank: int, shape: tuple[int, ...], rounds: int) -> list[list[str]]:
    """Measure full fine-tuning and adapters, their steps alternating, as rows of a table."""
    ranks = {'all': 0, f'rank {rank}': rank}
    trainings = {what: Training(name, r, shape) for what, r in ranks.items()}
    times: dict[str, list[float]] = {what: [] for what in trainings}
    for number in range(rounds + 1):
        order = list(trainings) if number % 2 else list(trainings)[::-1]
        for what in order:
            seconds = trainings[what].step()
            if number:  # the first step allocates
                times[what].append(seconds)
    medians = {what: statistics.median(values) for what, values in times.items()}
    rows = []
    for what, training in trainings.items():
        with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as pool:
            peak = pool.submit(peak_bytes, name, ranks[what], shape).result()
        rows.append(
            [
                name,
                what,
                f'{training.count:,}',
                f'{training.optimizer_bytes() / 1e6:.1f}',
                f'{1e3 * medians[what]:.0f}',
                f'{medians[what] / medians["all"]:.3f}',
                f'{peak / 1e6:.0f}',
            ]
        )
    return rows
