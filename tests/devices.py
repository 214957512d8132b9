"""Comparison of a device with the CPU, and what only CUDA can tell."""

import gc
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

CPU = torch.device('cpu')

PASSED_ON = ('nn/modules/module.py', 'nn/modules/container.py', 'warnings.py')
"""Files through which every call of a network goes."""


def difference(found: Tensor, expected: Tensor) -> str:
    """Say how far a tensor is from another one, and where most."""
    found, expected = found.detach().cpu().double(), expected.detach().cpu().double()
    if found.shape != expected.shape:
        return f'{tuple(found.shape)} for {tuple(expected.shape)}'
    gap = (found - expected).abs()
    most = gap.flatten().argmax()
    place = tuple(int(index) for index in torch.unravel_index(most, gap.shape))
    return (
        f'largest difference {gap.flatten()[most]:.3g} at {place} of {tuple(gap.shape)} '
        f'({found[place]:.6g} for {expected[place]:.6g}), mean {gap.mean():.3g}, '
        f'{(~found.isfinite()).sum()} not finite'
    )


def assert_near(found: Tensor, expected: Tensor, *, atol: float = 0, rtol: float = 0) -> None:
    """Assert that every element is near."""
    own = found.detach().cpu()
    near = own.shape == expected.shape and torch.allclose(own, expected.cpu(), rtol, atol)
    assert near, f'atol {atol:g}, rtol {rtol:g}: {difference(found, expected)}'


def assert_near_in_norm(found: Tensor, expected: Tensor, share: float) -> None:
    """Assert that the norm of the difference is at most a share of the expected one's."""
    found, expected = found.detach().cpu().double(), expected.detach().cpu().double()
    relative = ((found - expected).norm() / expected.norm()).item()
    assert relative <= share, (
        f'the difference has {relative:.3g} times the norm, {share:g} are allowed; '
        f'{difference(found, expected)}'
    )


def assert_same_movement(
    found: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    start: Mapping[str, Tensor],
    share: float,
) -> None:
    """Assert that all weights together moved alike, up to a share of the way they went."""
    names = [name for name, value in start.items() if value.is_floating_point()]

    def way(weights: Mapping[str, Tensor], name: str) -> Tensor:
        return weights[name].detach().cpu().double() - start[name].detach().cpu().double()

    gaps = {n: (way(found, n) - way(expected, n)).norm().item() for n in names}
    whole = sum(way(expected, name).square().sum().item() for name in names) ** 0.5
    relative = sum(gap**2 for gap in gaps.values()) ** 0.5 / whole
    worst = sorted(gaps, key=gaps.get, reverse=True)[:3]
    assert relative <= share, (
        f'the weights differ by {relative:.3g} of the way they went ({whole:.3g}), {share:g} are '
        'allowed; most: ' + '; '.join(f'{n}: {difference(found[n], expected[n])}' for n in worst)
    )


@contextmanager
def noted_waits(device: torch.device) -> Iterator[list[str]]:
    """Note where the host waits for the device; a stand-in notes nothing.

    Yields:
        Lines of code that wait, outermost first; complete at the end.
    """
    places: dict[str, None] = {}

    def note(message: Warning, *_: object) -> None:
        if 'synchronizing CUDA operation' in str(message):
            frames = [f for f in traceback.extract_stack() if not f.filename.endswith(PASSED_ON)]
            places[' > '.join(f'{f.filename}:{f.lineno} {f.line}' for f in frames[-9:-1])] = None

    found: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter('always')
        warnings.showwarning = note
        set_waiting(device, 'warn')
        try:
            yield found
        finally:
            set_waiting(device, 'default')
            found += places


def set_waiting(device: torch.device, mode: str) -> None:
    """Set what CUDA does where the host waits for it; nothing on a stand-in."""
    if device.type == 'cuda':
        torch.cuda.set_sync_debug_mode(mode)


def allocated_bytes(device: torch.device) -> int:
    """Memory of a GPU that tensors take."""
    gc.collect()
    return torch.cuda.memory_allocated(device)
