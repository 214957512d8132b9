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
from iqasr.models.cuda_graphs import CapturedNetwork
from iqasr.options.sections import Options
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import OptionError
from iqasr.runtime.randomness import generator_at

logger = logging.getLogger('iqasr')

FORMATS = {'plain': torch.contiguous_format, 'channels_last': torch.channels_last}
COMPILED, CAPTURED = ' compiled', ' captured'
CANDIDATES = {
    'plain': ('plain',),
    'channels_last': ('channels_last',),
    'auto': ('plain', 'channels_last'),
    'compile': ('plain', 'channels_last', 'plain' + COMPILED, 'channels_last' + COMPILED),
    'graph': ('plain', 'plain' + CAPTURED, 'channels_last' + CAPTURED),
}
"""Layouts of a network by ``train.speed``. Terms of the objective are not compiled, and only the
generator is captured: the discriminator's pass is used twice."""

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
        By name ``plain`` or ``channels_last``, followed by `COMPILED` or `CAPTURED` where it is to
        be so.
    """
    speed, data = options.train.speed, options.train_set
    if speed == 'graph' and (why := reason_not_to_capture(options, process)):
        logger.info('train.speed: graph is not possible with %s; auto is used.', why)
        speed = 'auto'
    modules = {k: m for k, m in modules.items() if any(p.dim() == 4 for p in m.parameters())}
    if len(CANDIDATES[speed]) == 1:
        return dict.fromkeys(modules, speed)
    possible = {*CANDIDATES['auto'], *CANDIDATES[speed]}
    if known and known.keys() == modules.keys() and set(known.values()) <= possible:
        return dict(known)
    if not data.get('gt_size'):
        logger.warning('train.speed: without gt_size there is nothing to measure; plain is used.')
        return dict.fromkeys(modules, 'plain')
    batch = random_batch(options, process.device)
    inputs = {'net_g': batch.lq, 'net_d': torch.cat([batch.gt, batch.output])}
    choices = {'net_g': speed, 'net_d': 'auto' if speed == 'graph' else speed}
    layouts = {}
    for name, module in modules.items():
        given, allowed = inputs.get(name, batch), CANDIDATES[choices.get(name, 'auto')]

        layouts[name] = fastest(name, module, given, autocast, allowed)
    return process.gather(layouts)[0]


def reason_not_to_capture(options: Options, process: Process) -> str | None:
    """Tell why the passes of a network cannot be captured; None if they can."""
    if process.device.type != 'cuda':
        return 'no GPU'
    if process.world_size > 1:
        return 'several processes'
    # Gradients lie in one place, where those of a second batch would replace the first ones.
    return 'train.accumulate' if options.train.accumulate > 1 else None


def random_batch(options: Options, device: torch.device) -> Batch:
    """Make a batch of noise as large as those of a run, with all that terms look at."""
    data, scale = options.train_set, options.scale
    count, side = data.get('batch_size_per_gpu', 1), data['gt_size']
    generator = generator_at('speed')
    shapes = [(count, 3, side // scale, side // scale)] + 2 * [(count, 3, side, side)]
    lq, gt, output = (torch.rand(s, generator=generator).to(device) for s in shapes)
    return Batch(lq, gt, output.requires_grad_(), generator, base=gt, average=gt)


def fastest(
    name: str,
    network: nn.Module,
    given: Tensor | Batch,
    autocast: Callable[..., AbstractContextManager],
    layouts: tuple[str, ...],
) -> str:
    """Find the fastest layout of a network, whose passes alternate with those of the other layouts.

    Args:
        name: What the log calls it.
        network: Left as it is.
        given: What it is called with.
        autocast: Context that it is called in.
        layouts: To choose from; the first is kept unless another is clearly faster.
    """
    works: dict[str, Callable[[], None]] = {}
    for layout in layouts:
        try:
            works[layout] = training_pass(network, given, autocast, layout)
        except RuntimeError as error:  # torch.compile and captures raise it, too
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
    network: nn.Module,
    given: Tensor | Batch,
    autocast: Callable[..., AbstractContextManager],
    layout: str,
) -> Callable[[], None]:
    """Make the pass of a copy in a layout, and carry it out once, which compiles it."""
    own = copy.deepcopy(network)
    called = lay_out(own, layout, given, autocast)

    def work() -> None:
        with autocast():
            value = called(given).float().mean()
        value.backward()
        own.zero_grad(set_to_none=True)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    work()
    return work


def clock() -> float:
    """Seconds; of the processor where there is no GPU, so that what else it does counts little."""
    return time.perf_counter() if torch.cuda.is_available() else time.process_time()


def lay_out(
    network: nn.Module,
    layout: str,
    given: Tensor | Batch | None = None,
    autocast: Callable[..., AbstractContextManager] | None = None,
) -> nn.Module:
    """Bring the weights of convolutions into a layout, in place, and return what to call.

    What is called may be compiled or captured; the network itself keeps the names of its weights.

    Args:
        network: Any.
        layout: As `choose_layouts` returns it.
        given: What it will be called with; only its size counts. Needed to capture it.
        autocast: Context that it will be called in; needed to capture it.
    """
    form, _, how = layout.partition(' ')
    network.to(memory_format=FORMATS[form])
    if how == COMPILED.strip():
        return torch.compile(network)
    return CapturedNetwork(network, given, autocast) if how == CAPTURED.strip() else network
