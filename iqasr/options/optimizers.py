"""Optimisers and learning-rate schedulers, which are named as in torch or BasicSR."""

import inspect
import math
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from basicsr.models import lr_scheduler as basicsr_schedulers
from torch import nn

from iqasr.registry import name_suspects, nearest

UNSUITABLE = {
    'LBFGS': 'it evaluates the loss several times an iteration',
    'SparseAdam': 'it takes sparse gradients only',
    'Muon': 'it takes matrices only, and networks have biases and convolutions',
    'ReduceLROnPlateau': 'it needs a metric at every step; use MultiStepLR or CosineAnnealingLR',
    'LambdaLR': 'a function cannot be written in an option file',
    'MultiplicativeLR': 'a function cannot be written in an option file',
    'SequentialLR': 'schedulers cannot be nested in an option file',
    'ChainedScheduler': 'schedulers cannot be nested in an option file',
}


def find_optimizer(name: str) -> type[torch.optim.Optimizer]:
    """Find an optimiser of torch by name."""
    return _find('optimiser', name, _subclasses(torch.optim, torch.optim.Optimizer))


def find_scheduler(name: str) -> type:
    """Find a learning-rate scheduler of torch or BasicSR by name."""
    base = torch.optim.lr_scheduler.LRScheduler
    known = _subclasses(torch.optim.lr_scheduler, base) | _subclasses(basicsr_schedulers, base)
    # The name under which BasicSR's files ask for its own MultiStepRestartLR.
    known['MultiStepLR'] = known['MultiStepRestartLR']
    return _find('scheduler', name, known)


def construct(cls: type, subject: Any, options: Mapping[str, Any]) -> Any:
    """Build an optimiser or a scheduler.

    Raises:
        ValueError: If its constructor refuses the options.
    """
    arguments = {key: value for key, value in options.items() if key != 'type'}
    try:
        return cls(subject, **arguments)
    except Exception as error:
        suspects = name_suspects(cls, (subject,), arguments)
        reason = f'cannot be built from its options ({type(error).__name__}: {error}){suspects}.'
        raise ValueError(f'{cls.__name__} {reason}') from error


def step_through(
    optimizer: Mapping[str, Any], scheduler: Mapping[str, Any], iterations: int, total: int
) -> None:
    """Let a scheduler take all its steps, for a single weight.

    Args:
        optimizer: Section ``optim_g`` or ``optim_d``.
        scheduler: Section ``scheduler``.
        iterations: How many iterations to follow.
        total: All of the run, for messages.

    Raises:
        ValueError: If either cannot be built, a step fails, or a learning rate is no number >= 0.
    """
    weights = [nn.Parameter(torch.zeros(1))]
    stepped = construct(find_optimizer(optimizer['type']), weights, optimizer)
    cls = find_scheduler(scheduler['type'])
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # torch misses the steps of the optimiser
        schedule = construct(cls, stepped, scheduler)
        for iteration in range(1, iterations + 1):
            try:
                if iteration > 1:
                    schedule.step()
                rate = float(stepped.param_groups[0]['lr'])
            except Exception as error:
                raise ValueError(
                    f'{cls.__name__} fails in iteration {iteration} of {total} '
                    f'({type(error).__name__}: {error}). Its options must be right for all of '
                    'train.total_iter.'
                ) from error
            start = stepped.param_groups[0].get('initial_lr', rate)
            if 'eta_min' in scheduler and rate > start:
                raise ValueError(
                    f'eta_min: {cls.__name__} would raise the learning rate from {start:g} to '
                    f'{rate:g}; give less than the learning rate.'
                )
            if not 0 <= rate < math.inf:
                raise ValueError(
                    f'{cls.__name__} gives a learning rate of {rate:g} in iteration {iteration} of '
                    f'{total}; it must be a number from 0 on.'
                )


def _subclasses(module: Any, base: type) -> dict[str, type]:
    members = inspect.getmembers(module, inspect.isclass)
    return {
        name: cls
        for name, cls in members
        if issubclass(cls, base) and cls is not base and not name.startswith('_')
    }


def _find(kind: str, name: str, known: Mapping[str, type]) -> type:
    if not isinstance(name, str):
        raise ValueError(f'should be the name of a {kind}, not {name!r}.')
    if name in UNSUITABLE:
        raise ValueError(f"{kind} '{name}' cannot be used: {UNSUITABLE[name]}.")
    if name not in known:
        names = ', '.join(sorted(set(known) - set(UNSUITABLE)))
        raise ValueError(f"no {kind} is called '{name}'.{nearest(name, known)} There are: {names}.")
    return known[name]
