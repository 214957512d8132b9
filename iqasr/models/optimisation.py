"""How one network is optimised: optimiser, schedule, warm-up and clipping."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from iqasr.options.optimizers import find_optimizer, find_scheduler
from iqasr.options.sections import TrainOptions


class Optimisation:
    """Takes the steps of one network.

    Args:
        network: Its parameters that ask for gradients are trained.
        optimizer: Section ``optim_g`` or ``optim_d``.
        train: Schedule, warm-up and clipping.
    """

    def __init__(
        self, network: nn.Module, optimizer: Mapping[str, Any], train: TrainOptions
    ) -> None:
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.train = train
        device = self.parameters[0].device.type
        self.optimizer = built(
            find_optimizer(optimizer['type']), self.parameters, fused(optimizer, device)
        )
        self.scaler = torch.amp.GradScaler(device, enabled=train.amp == 'fp16')
        self.scheduler = None
        if train.scheduler is not None:
            cls = find_scheduler(train.scheduler['type'])
            self.scheduler = built(cls, self.optimizer, without_type(train.scheduler))

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss, scaled up where half precision would lose them."""
        self.scaler.scale(loss).backward()

    def step(self, iteration: int) -> Tensor | None:
        """Take a step along the gradients gathered, and forget them.

        Args:
            iteration: Number of this iteration, from 1; decides on the warm-up.

        Returns:
            Norm of the gradients before clipping, if they are clipped.
        """
        norm = None
        if self.train.clip_grad_norm is not None:
            self.scaler.unscale_(self.optimizer)
            norm = nn.utils.clip_grad_norm_(self.parameters, self.train.clip_grad_norm)
        groups = self.optimizer.param_groups
        rates = [group['lr'] for group in groups]
        if iteration < self.train.warmup_iter:
            for group, rate in zip(groups, rates, strict=True):
                group['lr'] = rate * iteration / self.train.warmup_iter
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        # The scheduler continues from its own rate, as if there were no warm-up.
        for group, rate in zip(groups, rates, strict=True):
            group['lr'] = rate
        return norm

    def end_iteration(self) -> None:
        """Advance the schedule; every iteration, whether this network took a step or not."""
        if self.scheduler is not None:
            self.scheduler.step()

    def learning_rate(self) -> float:
        """The present learning rate, without warm-up."""
        return float(self.optimizer.param_groups[0]['lr'])

    def state_dict(self) -> dict[str, Any]:
        """What an exact continuation needs."""
        schedule = self.scheduler.state_dict() if self.scheduler is not None else None
        return {
            'optimizer': self.optimizer.state_dict(),
            'scheduler': schedule,
            'scaler': self.scaler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`.

        Raises:
            ValueError: If it is of another type of optimiser or schedule.
        """
        saved = state['optimizer']
        if saved['param_groups'][0].keys() != self.optimizer.param_groups[0].keys():
            raise ValueError('the optimiser is of another type')
        if (state['scheduler'] is None) != (self.scheduler is None):
            raise ValueError('one of the two has a scheduler, the other has none')
        self.optimizer.load_state_dict(saved)
        self.optimizer.zero_grad(set_to_none=True)
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state['scheduler'])
        if self.scaler.is_enabled() and state.get('scaler'):
            self.scaler.load_state_dict(state['scaler'])


FUSED = ('Adam', 'AdamW', 'SGD')
"""Optimisers of torch that take a step in one operation, on these devices."""

FUSED_DEVICES = ('cpu', 'cuda')


def built(cls: type, subject: Any, options: Mapping[str, Any]) -> Any:
    """Build an optimiser or a scheduler.

    Raises:
        ValueError: If its constructor refuses the options.
    """
    try:
        return cls(subject, **options)
    except (TypeError, ValueError) as error:
        raise ValueError(f'{cls.__name__} cannot be built from its options: {error}.') from error


def fused(optimizer: Mapping[str, Any], device: str) -> dict[str, Any]:
    """The constructor arguments in a section, to take steps in one operation where that is left."""
    arguments = without_type(optimizer)
    other = any(arguments.get(key) is not None for key in ('foreach', 'fused', 'differentiable'))
    if optimizer['type'] in FUSED and device in FUSED_DEVICES and not other:
        arguments['fused'] = True
    return arguments


def without_type(section: Mapping[str, Any]) -> dict[str, Any]:
    """The constructor arguments in a section."""
    return {key: value for key, value in section.items() if key != 'type'}
