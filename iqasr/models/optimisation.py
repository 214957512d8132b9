"""How one network is optimised: optimiser, schedule, warm-up and clipping."""

import warnings
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

SCHEDULED = {'initial_lr', 'max_lr', 'min_lr', 'max_momentum', 'base_momentum'}
"""What schedulers add to the options of an optimiser."""


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
        self.own = [without(group, 'params') for group in self.optimizer.param_groups]
        """What the option file says of each parameter group, before the scheduler changes it."""
        self.schedule = scheduler
        self.scheduler = self.build_scheduler()
        self.rates = self.applied_rates()
        """Learning rates by the schedule, without warm-up, one per parameter group."""

    def build_scheduler(self) -> Any:
        """Build the scheduler as it is before iteration 1; None if there is none."""
        if self.schedule is None:
            return None
        cls = find_scheduler(self.schedule['type'])
        return construct(cls, self.optimizer, without(self.schedule, 'type'))

    def update_learning_rate(self, iteration: int, warmup_iter: int) -> None:
        """Set the learning rate of an iteration; called once before each.

        Args:
            iteration: From 1.
            warmup_iter: The rate rises linearly before this iteration; the schedule goes on as if
                there were no warm-up.
        """
        self.apply(1)
        while self.scheduler is not None and self.scheduler.last_epoch < iteration - 1:
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
        """Return what an exact continuation needs beside the options and the iteration."""
        return {'optimizer': self.optimizer.state_dict(), 'scaler': self.scaler.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any], iteration: int) -> None:
        """Continue from `state_dict`; learning rate, decay, betas and the like are the file's own.

        Args:
            state: What `state_dict` returned, of these options or others.
            iteration: The last one done; the schedule goes on as if it had held from the first.

        Raises:
            ValueError: If what the optimiser remembers is not what these options need.
        """
        saved, groups = state['optimizer'], []
        for before, own in zip(saved['param_groups'], self.own, strict=True):
            check_kind(without(before, 'params'), own)
            groups.append(own | {'params': before['params']})
        self.optimizer.load_state_dict({'state': saved['state'], 'param_groups': groups})
        self.optimizer.zero_grad(set_to_none=True)
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'Detected call of .lr_scheduler.step', UserWarning)
            self.scheduler = self.build_scheduler()
            self.rates = self.applied_rates()
            self.update_learning_rate(iteration, 0)
        if self.scaler.is_enabled() and state.get('scaler'):
            self.scaler.load_state_dict(state['scaler'])


def check_kind(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that the options of an optimiser ask for the state that those before have left.

    Numbers may change. Its type may not, nor what it is told to remember: switches such as
    ``amsgrad``, and whether there is ``momentum``.

    Raises:
        ValueError: The message names the option.
    """
    if before.keys() - SCHEDULED != now.keys():
        raise ValueError('its type is another than in the checkpoint')
    for key in now.keys() - set(STEP_OPTIONS):
        switch = isinstance(now[key], bool) or key == 'momentum'
        if switch and bool(before[key]) != bool(now[key]):
            named = 'type' if key == 'decoupled_weight_decay' else key
            raise ValueError(f'its {named} is another than in the checkpoint')
