"""In which form a network trains fastest: its memory format, and whether it is compiled.

Which form is faster depends on the network, the processor and the size of the crops; so it is
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
"""The forms that ``train.speed`` allows a network; the terms of the objective are not compiled."""

ROUNDS = 3
ENOUGH = 0.97
"""Another form is taken if its time is at most this part of the plain one's, in every round."""


def autocast_of(amp: str, device: torch.device) -> Callable[[], AbstractContextManager]:
    """Return what makes the context in which networks compute in the precision ``train.amp``.

    Raises:
        OptionError: If the device cannot train in it.
    """
    if amp == 'fp16' and device.type == 'cpu':
        raise OptionError('train.amp: fp16 needs a GPU; use bf16 or none.')
    dtype = torch.float16 if amp == 'fp16' else torch.bfloat16
    return partial(torch.autocast, device.type, dtype, enabled=amp != 'none')


def choose_forms(
    options: Options,
    process: Process,
    modules: Mapping[str, nn.Module],
    autocast: Callable[[], AbstractContextManager],
    known: Mapping[str, str] | None,
) -> dict[str, str]:
    """Choose the form of every network and of every term that has convolutions.

    Args:
        options: The checked option file; ``train.speed`` and the sizes of a batch.
        process: All processes take the choice of the first.
        modules: Networks, and terms of the objective, by name, on the device; left as they are.
        autocast: Context that networks are called in.
        known: Choice of the run that is continued.

    Returns:
        By name ``plain`` or ``channels_last``, followed by `COMPILED` where it is to be compiled.
    """
    speed, section = options.train.speed, options.datasets['train']
    side = section.get('gt_size')
    modules = {k: m for k, m in modules.items() if any(p.dim() == 4 for p in m.parameters())}
    if len(CANDIDATES[speed]) == 1:
        return dict.fromkeys(modules, speed)
    if known and known.keys() == modules.keys() and set(known.values()) <= set(CANDIDATES[speed]):
        return dict(known)
    if not side:
        logger.warning('train.speed: without gt_size there is nothing to measure; plain is used.')
        return dict.fromkeys(modules, 'plain')
    batch = random_batch(section.get('batch_size_per_gpu', 1), side, options.scale, process.device)
    inputs = {'net_g': batch.lq, 'net_d': torch.cat([batch.gt, batch.output])}
    forms = {}
    for name, module in modules.items():
        given, allowed = inputs.get(name, batch), CANDIDATES[speed if name in inputs else 'auto']

        def forward(called: Callable, given: Tensor | Batch = given) -> Tensor:
            with autocast():
                return called(given).float().mean()

        forms[name] = fastest(name, module, forward, allowed)
    return process.gather(forms)[0]


def random_batch(count: int, side: int, scale: int, device: torch.device) -> Batch:
    """Make a batch of noise, with all that terms with convolutions look at."""
    generator = generator_at('speed')
    shapes = [(count, 3, side // scale, side // scale)] + 2 * [(count, 3, side, side)]
    lq, gt, output = (torch.rand(s, generator=generator).to(device) for s in shapes)
    return Batch(lq, gt, output.requires_grad_(), generator, base=gt, average=gt)


def fastest(
    name: str, network: nn.Module, forward: Callable[[Callable], Tensor], forms: tuple[str, ...]
) -> str:
    """Find the fastest form of a network, whose passes alternate with those of the other forms.

    Args:
        name: What the log calls it.
        network: Left as it is.
        forward: Calls a network and returns a scalar; its backward pass is timed, too.
        forms: To choose from; the first is kept unless another is clearly faster.
    """
    works: dict[str, Callable[[], None]] = {}
    for form in forms:
        try:
            works[form] = training_pass(network, forward, form)
        except RuntimeError as error:  # what torch.compile raises, too
            logger.warning('speed of %s: %s fails: %.300s', name, form, error)
    times: dict[str, list[float]] = {form: [] for form in works}
    for _ in range(ROUNDS):
        for form, work in works.items():
            start = clock()
            work()
            times[form].append(clock() - start)
    medians = {form: statistics.median(values) for form, values in times.items()}
    best = min(medians, key=medians.get)
    rounds = zip(times[best], times[forms[0]], strict=True)
    chosen = best if all(own <= ENOUGH * first for own, first in rounds) else forms[0]
    listing = ', '.join(f'{form} {1e3 * seconds:.1f} ms' for form, seconds in medians.items())
    logger.info('speed of %s: %s; %s is used.', name, listing, chosen)
    return chosen


def training_pass(
    network: nn.Module, forward: Callable[[Callable], Tensor], form: str
) -> Callable[[], None]:
    """Make the pass of a copy in a form, and carry it out once, which compiles it."""
    own = in_format(copy.deepcopy(network), form)
    called = compiled_if_asked(own, form)

    def work() -> None:
        forward(called).backward()
        own.zero_grad(set_to_none=True)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    work()
    return work


def bring_into(forms: Mapping[str, str], modules: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Bring modules into their forms, in place, and return what is called in training."""
    return {
        name: compiled_if_asked(in_format(module, forms.get(name, 'plain')), forms.get(name, ''))
        for name, module in modules.items()
    }


def clock() -> float:
    """Seconds; of the processor where there is no GPU, so that what else it does counts little."""
    return time.perf_counter() if torch.cuda.is_available() else time.process_time()


def in_format(network: nn.Module, form: str) -> nn.Module:
    """Bring the weights of convolutions into the memory format of a form, in place."""
    return network.to(memory_format=FORMATS[form.removesuffix(COMPILED)])


def compiled_if_asked(network: nn.Module, form: str) -> nn.Module:
    """Return what to call in training; the network itself keeps the names of its weights."""
    return torch.compile(network) if form.endswith(COMPILED) else network
