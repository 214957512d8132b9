"""Tensors without values stand for those of a GPU: what it would refuse or wait for is an error."""

import importlib

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from iqasr.degradation import stages
from iqasr.models import networks, restoration_model
from iqasr.runtime.distributed import Process

META = torch.device('meta')
"""The device: a tensor there has a shape and no value, so that none can be read back."""

aten = torch.ops.aten

WAITING = (aten.median.default, aten.nanmedian.default, aten.bincount.default)
"""Operators that read a value back on a GPU, though they know their shape without it."""


class DeviceRules(TorchDispatchMode):
    """Refuses operators whose tensors are in two places, and those that wait for the device.

    To read a value back, torch itself refuses.

    Args:
        first: Whether constants may still be copied to the device.
    """

    def __init__(self, first=False):
        super().__init__()
        self.first = first

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs, packet = kwargs or {}, function.overloadpacket
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        on_device = [t.is_meta for t in tensors]
        if packet in (aten._to_copy, aten.copy_):
            self.check_copy(args, kwargs)
        elif any(on_device):
            # A scalar of the host is an argument of the kernel.
            apart = [tuple(t.shape) for t in tensors if not t.is_meta and t.dim()]
            assert not apart, f'{function}: {apart} are not on the device'
            assert function not in WAITING, f'{function} waits for the device'
            if packet in (aten.index_put, aten.index_put_):
                places, values = args[1:3]
                masks = any(i is not None and i.dtype == torch.bool for i in places)
                assert not masks or values.numel() == 1, 'the places of a mask are waited for'
        return function(*args, **kwargs)

    def check_copy(self, args, kwargs):
        if isinstance(args[1] if len(args) > 1 else None, Tensor):
            target, source = args[0].device, args[1]
            waits = not (args[2] if len(args) > 2 else kwargs.get('non_blocking', False))
        else:
            target, source = kwargs.get('device') or args[0].device, args[0]
            waits = not kwargs.get('non_blocking', False)
        if source.is_cpu and target == META and not self.first:
            assert not waits, f'the copy of {tuple(source.shape)} to the device is waited for'


class NoNumbers(TorchFunctionMode):
    """Refuses to make a tensor of Python's numbers on the device: their copy is waited for."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function in (torch.tensor, torch.as_tensor, Tensor.new_tensor) and result.is_meta:
            given = args[1:] if function is Tensor.new_tensor else args
            assert isinstance(given[0], Tensor), f'numbers are copied to the device: {given}'
        return result


def direct_to_meta(patch):
    """Let models train there, and let torch do there what it does on a GPU."""
    patch.setattr(restoration_model, 'this_process', lambda use_gpu: Process(device=META))
    # Where there are no values, there are no generators either,
    fork, autocast = stages.fork, torch.autocast
    patch.setattr(stages, 'fork', lambda generator, device: fork(generator, 'cpu'))
    # no second precision,
    there = {'meta': 'cpu'}
    patch.setattr(
        torch, 'autocast', lambda kind, *a, **how: autocast(there.get(kind, kind), *a, **how)
    )
    # and no optimiser that takes its step in one operation, though its operator is there.
    optimizer = importlib.import_module('torch.optim.optimizer')  # torch.optim hides it
    patch.setattr(optimizer, '_get_fused_kernels_supported_devices', lambda: ['cpu', 'meta'])
    # Weights that an option file names are not here.
    patch.setattr(networks, 'load_pretrained', lambda *_, **__: None)
