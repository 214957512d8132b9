"""Optimisers and learning-rate schedulers, which are named as in torch or BasicSR."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from basicsr.models import lr_scheduler as basicsr_schedulers

from iqasr.registry import nearest

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
