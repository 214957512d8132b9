"""Count what a training pass of a network launches, computes, and moves through the memory.

On tensors without values: every operator counts as one launch that reads its inputs and writes its
outputs. "Plain" is the network as BasicSR wrote it. No time is measured.

Usage:
    python scripts/benchmarks/traffic.py --json traffic.json
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gan_models import NETWORKS
from ratios import report_measured

from iqasr.archs.window_attention import speed_up_attention
from iqasr.registry import ARCH_REGISTRY, build

SIDES = {'SRVGG-16': 64, 'RRDB-23': 64, 'SwinIR-M': 48}
"""Sides of the inputs, in pixels, as in the GPU check."""


FREE = ('_unsafe_view', 'detach', 'empty', 'empty_like', 'empty_strided', 'new_empty')
"""Operators beside the views that touch no values."""


class Counter(TorchDispatchMode):
    """Counts launches, bytes and floating-point operations."""

    def __init__(self) -> None:
        super().__init__()
        self.launches, self.num_bytes, self.flops = 0, 0, 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Count an operator."""
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, Tensor)]
        name = function.overloadpacket.__name__
        if tensors and not function.is_view and name not in FREE:
            self.launches += 1
            self.num_bytes += sum(t.numel() * t.element_size() for t in tensors)
        if function.overloadpacket in flop_registry:
            count = flop_registry[function.overloadpacket]
            self.flops += count(*args, **kwargs, out_val=result)
        return result


class Autocast(TorchFunctionMode):
    """Casts as ``torch.autocast`` does on a GPU, which it does not for tensors without values."""

    LOW = (F.linear, F.conv2d, F.prelu, Tensor.matmul, Tensor.__matmul__)
    HIGH = (F.softmax, F.layer_norm)

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function with what it would be called with."""
        dtypes = dict.fromkeys(self.LOW, torch.bfloat16) | dict.fromkeys(self.HIGH, torch.float32)
        if (dtype := dtypes.get(function)) is not None:
            args = [a.to(dtype) if isinstance(a, Tensor) else a for a in args]
        return function(*args, **(kwargs or {}))


def count(network: nn.Module, batch: int, side: int, *, bf16: bool) -> Counter:
    """Count a pass and its back-propagation."""
    lq = torch.empty(batch, 3, side, side, device='meta')
    with Counter() as counter:
        if bf16:
            with Autocast():
                output = network(lq)
        else:
            output = network(lq)
        output.float().mean().backward()
    return counter


def make_network(name: str, *, fast: bool) -> nn.Module:
    """Make a network without values."""
    network = build(ARCH_REGISTRY, NETWORKS[name]).to('meta')
    network.mean = getattr(network, 'mean', torch.zeros(1)).to('meta')  # no buffer in SwinIR
    if fast:
        speed_up_attention(network)
    return network


def main() -> None:
    """Parse the command line and count."""
    parser = argparse.ArgumentParser(description='Count launches and memory traffic.')
    parser.add_argument('--networks', nargs='+', default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument('--batch', type=int, default=12)
    parser.add_argument('--json', help='file for the figures')
    args = parser.parse_args()
    rows = []
    for name in args.networks:
        for kind in ('plain', 'here') if name == 'SwinIR-M' else ('plain',):
            for precision in ('float32', 'bf16'):
                network = make_network(name, fast=kind == 'here')
                found = count(network, args.batch, SIDES[name], bf16=precision == 'bf16')
                measured = (
                    f'{found.launches} launches, {found.num_bytes / 1e9:.1f} GB, '
                    f'{found.flops / 1e12:.2f} TFLOP'
                )
                what = f'{name}, {kind}, {precision}'
                rows.append({'what': what, 'measured': measured, 'target': 'reported'})
    report_measured(rows, args.json, **vars(args))


if __name__ == '__main__':
    main()
