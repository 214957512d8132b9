"""Training on tensors without values: what a GPU would refuse, or wait for, is an error."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = torch.device('meta')
"""Stands for the device: a tensor there has a shape and no value, so that none is read back."""

aten = torch.ops.aten
COPIES = (aten._to_copy.default, aten.copy_.default)
WAITING = (aten.median.default, aten.nanmedian.default, aten.bincount.default)
"""Operators that read a value back on a GPU, though they have a shape without one."""


class Rules(TorchDispatchMode):
    """Refuses operators of tensors in two places, and what waits for the device.

    Torch itself refuses to read back a value that is not there.
    """

    def __init__(self, copies=True):
        super().__init__()
        self.copies = copies

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if function in COPIES:
            self.check_copy(function, args, kwargs)
        # A scalar of the CPU is an argument of the kernel.
        elif len({t.device.type for t in tensors if t.is_meta or t.dim()}) > 1:
            raise AssertionError(f'{function}: some tensors are on the device, others are not')
        if function in WAITING and any(t.is_meta for t in tensors):
            raise AssertionError(f'{function} waits for the device')
        if function.overloadpacket in (aten.index_put, aten.index_put_):
            self.check_mask(function, *args)
        return function(*args, **kwargs)

    def check_copy(self, function, args, kwargs) -> None:
        """Refuse a copy to the device that the host waits for."""
        if function is aten.copy_.default:
            (target, source), (flag,) = args[:2], args[2:] or (False,)
            device, without_waiting = target.device, flag or kwargs.get('non_blocking', False)
        else:
            (source,), device = args, kwargs.get('device') or args[0].device
            without_waiting = kwargs.get('non_blocking', False)
        if source.is_cpu and device.type == 'meta' and self.copies and not without_waiting:
            raise AssertionError(f'{tuple(source.shape)}: the host waits for its copy')

    def check_mask(self, function, target, indices, value, *_) -> None:
        """Refuse to look for the places of a mask, unless all get one value."""
        masks = any(i is not None and i.dtype is torch.bool for i in indices)
        if masks and target.is_meta and value.numel() != 1:
            raise AssertionError(f'{function}: the places of a mask wait for the device')


class NoConstants(TorchFunctionMode):
    """Refuses to make a tensor of numbers on the device, which waits for their copy."""

    MAKERS = (torch.tensor, torch.as_tensor, Tensor.new_tensor)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function in self.MAKERS and result.is_meta and not isinstance(args[0], Tensor):
            raise AssertionError(f'{function.__name__}: the host waits for the copy of {args}')
        if function is Tensor.new_tensor and result.is_meta:
            raise AssertionError(f'new_tensor: the host waits for the copy of {args[1:]}')
        return result
