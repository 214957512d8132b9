"""How one network is optimised: optimiser, schedule, warm-up and clipping."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from iqasr.checking.components import without
from iqasr.options.optimizers import construct, find_optimizer, find_scheduler

FUSED = ('Adam', 'AdamW', 'SGD')
"""Optimisers of torch that take a step in one operation."""

STEP_OPTIONS = ('foreach', 'fused', 'differentiable')
"""Their options that say how a step is taken."""


class Optimisation:
    """Takes the steps of one network.

    Args:
        network: Its parameters that ask for gradients are trained.
        optimizer: Section ``optim_g`` or ``optim_d``.
        scheduler: Section ``scheduler``; None keeps the learning rate.
        clip_grad_norm: Largest norm of the gradients of a step; None for no limit.
        scale_loss: Scale losses up, for gradients in half precision.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Mapping[str, Any],
        *,
        scheduler: Mapping[str, Any] | None = None,
        clip_grad_norm: float | None = None,
        scale_loss: bool = False,
    ) -> None:
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.clip_grad_norm = clip_grad_norm
        device = self.parameters[0].device.type
        arguments = without(optimizer, 'type')
        own = any(arguments.get(key) is not None for key in STEP_OPTIONS)
        if optimizer['type'] in FUSED and not own:
            arguments['fused'] = True
        self.optimizer = construct(find_optimizer(optimizer['type']), self.parameters, arguments)
        self.scaler = torch.amp.GradScaler(device, enabled=scale_loss)
        self.scheduler = None
        if scheduler is not None:
            cls = find_scheduler(scheduler['type'])
            self.scheduler = construct(cls, self.optimizer, without(scheduler, 'type'))
        self.rates = self.applied_rates()
        """Learning rates by the schedule, without warm-up, one per parameter group."""

    def update_learning_rate(self, iteration: int, warmup_iter: int) -> None:
        """Set the learning rate of an iteration; called once before each.

        Args:
            iteration: From 1.
            warmup_iter: The rate rises linearly before this iteration; the schedule goes on as if
                there were no warm-up.
        """
        self.apply(1)
        if self.scheduler is not None and self.scheduler.last_epoch < iteration - 1:
            self.scheduler.step()
            self.rates = self.applied_rates()
        self.apply(iteration / warmup_iter if iteration < warmup_iter else 1)

    def apply(self, share: float) -> None:
        """Set the learning rates to a share of those of the schedule."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group['lr'] = rate * share

    def applied_rates(self) -> list[float]:
        """Learning rates as they are set, one per parameter group."""
        return [group['lr'] for group in self.optimizer.param_groups]

    def backward(self, loss: Tensor, **how: Any) -> None:
        """Add the gradients of a loss, scaled up where half precision would lose them."""
        self.scaler.scale(loss).backward(**how)

    def step(self) -> Tensor | None:
        """Take a step along the gradients gathered, and forget them.

        Returns:
            Norm of the gradients before clipping, if they are clipped.
        """
        norm = None
        if self.clip_grad_norm is not None:
            self.scaler.unscale_(self.optimizer)
            norm = nn.utils.clip_grad_norm_(self.parameters, self.clip_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def state_dict(self) -> dict[str, Any]:
        """Return what an exact continuation needs; learning rates are those of the schedule."""
        optimizer = self.optimizer.state_dict()
        for group, rate in zip(optimizer['param_groups'], self.rates, strict=True):
            group['lr'] = rate
        return {
            'optimizer': optimizer,
            'scheduler': self.scheduler.state_dict() if self.scheduler is not None else None,
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
        self.rates = self.applied_rates()
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state['scheduler'])
        if self.scaler.is_enabled() and state.get('scaler'):
            self.scaler.load_state_dict(state['scaler'])
