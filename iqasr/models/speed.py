"""The layout in which a network trains fastest: memory format, compiled or not.

Which one is faster depends on the network, the processor and the size of the crops; so it is
measured, on copies, with random images of the sizes of the run.
"""

import copy
import logging
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial

import torch
from torch import Tensor, nn

from iqasr.losses import Batch
from iqasr.options.sections import Options
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import OptionError
from iqasr.runtime.randomness import generator_at

logger = logging.getLogger('iqasr')

FORMATS = {'plain': torch.contiguous_format, 'channels_last': torch.channels_last}
COMPILED = ' compiled'
CANDIDATES = {
    'plain': ('plain',),
    'channels_last': ('channels_last',),
    'auto': ('plain', 'channels_last'),
    'compile': ('plain', 'channels_last', 'plain' + COMPILED, 'channels_last' + COMPILED),
}
"""Layouts of a network by ``train.speed``; the terms of the objective are not compiled."""

ROUNDS = 3
ENOUGH = 0.97
"""Another layout is taken if its time is at most this part of the plain one's, in every round."""


def autocast_of(amp: str, device: torch.device) -> Callable[[], AbstractContextManager]:
    """Return what makes the context in which networks compute in the precision ``train.amp``.

    Raises:
        OptionError: If the device cannot train in it.
    """
    if amp == 'fp16' and device.type == 'cpu':
        raise OptionError('train.amp: fp16 needs a GPU; use bf16 or none.')
    dtype = torch.float16 if amp == 'fp16' else torch.bfloat16
    return partial(torch.autocast, device.type, dtype, enabled=amp != 'none')


def choose_layouts(
    options: Options,
    modules: Mapping[str, nn.Module],
    autocast: Callable[[], AbstractContextManager],
    *,
    process: Process,
    known: Mapping[str, str] | None,
) -> dict[str, str]:
    """Choose the layout of every network and of every term that has convolutions.

    Args:
        options: The checked option file: ``train.speed``, and the sizes of its training set.
        modules: Networks, and terms of the objective, by name, on the device; left as they are.
        autocast: Context that networks are called in.
        process: All processes take the choice of the first.
        known: Choice of the run that is continued.

    Returns:
        By name ``plain`` or ``channels_last``, followed by `COMPILED` where it is to be compiled.
    """
    speed, data = options.train.speed, options.train_set
    modules = {k: m for k, m in modules.items() if any(p.dim() == 4 for p in m.parameters())}
    if len(CANDIDATES[speed]) == 1:
        return dict.fromkeys(modules, speed)
    if known and known.keys() == modules.keys() and set(known.values()) <= set(CANDIDATES[speed]):
        return dict(known)
    if not data.get('gt_size'):
        logger.warning('train.speed: without gt_size there is nothing to measure; plain is used.')
        return dict.fromkeys(modules, 'plain')
    count = data.get('batch_size_per_gpu', 1)
    batch = random_batch(count, data['gt_size'], options.scale, process.device)
    inputs = {'net_g': batch.lq, 'net_d': torch.cat([batch.gt, batch.output])}
    layouts = {}
    for name, module in modules.items():
        given, allowed = inputs.get(name, batch), CANDIDATES[speed if name in inputs else 'auto']

        def forward(called: Callable, given: Tensor | Batch = given) -> Tensor:
            with autocast():
                return called(given).float().mean()

        layouts[name] = fastest(name, module, forward, allowed)
    return process.gather(layouts)[0]


def random_batch(count: int, side: int, scale: int, device: torch.device) -> Batch:
    """Make a batch of noise, with all that terms with convolutions look at."""
    generator = generator_at('speed')
    shapes = [(count, 3, side // scale, side // scale)] + 2 * [(count, 3, side, side)]
    lq, gt, output = (torch.rand(s, generator=generator).to(device) for s in shapes)
    return Batch(lq, gt, output.requires_grad_(), generator, base=gt, average=gt)


def fastest(
    name: str, network: nn.Module, forward: Callable[[Callable], Tensor], layouts: tuple[str, ...]
) -> str:
    """Find the fastest layout of a network, whose passes alternate with those of the other layouts.

    Args:
        name: What the log calls it.
        network: Left as it is.
        forward: Calls a network and returns a scalar; its backward pass is timed, too.
        layouts: To choose from; the first is kept unless another is clearly faster.
    """
    works: dict[str, Callable[[], None]] = {}
    for layout in layouts:
        try:
            works[layout] = training_pass(network, forward, layout)
        except RuntimeError as error:  # what torch.compile raises, too
            logger.warning('speed of %s: %s fails: %.300s', name, layout, error)
    times: dict[str, list[float]] = {layout: [] for layout in works}
    for _ in range(ROUNDS):
        for layout, work in works.items():
            start = clock()
            work()
            times[layout].append(clock() - start)
    medians = {layout: statistics.median(values) for layout, values in times.items()}
    best = min(medians, key=medians.get)
    rounds = zip(times[best], times[layouts[0]], strict=True)
    chosen = best if all(own <= ENOUGH * first for own, first in rounds) else layouts[0]
    listing = ', '.join(f'{layout} {1e3 * seconds:.1f} ms' for layout, seconds in medians.items())
    logger.info('speed of %s: %s; %s is used.', name, listing, chosen)
    return chosen


def training_pass(
    network: nn.Module, forward: Callable[[Callable], Tensor], layout: str
) -> Callable[[], None]:
    """Make the pass of a copy in a layout, and carry it out once, which compiles it."""
    own = copy.deepcopy(network)
    called = lay_out(own, layout)

    def work() -> None:
        forward(called).backward()
        own.zero_grad(set_to_none=True)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    work()
    return work


def clock() -> float:
    """Seconds; of the processor where there is no GPU, so that what else it does counts little."""
    return time.perf_counter() if torch.cuda.is_available() else time.process_time()


def lay_out(network: nn.Module, layout: str) -> nn.Module:
    """Bring the weights of convolutions into a layout, in place, and return what to call.

    What is called may be compiled; the network itself keeps the names of its weights.
    """
    network.to(memory_format=FORMATS[layout.removesuffix(COMPILED)])
    return torch.compile(network) if layout.endswith(COMPILED) else network
