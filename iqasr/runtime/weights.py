"""Weights of networks, read from files of any trainer without running code."""

import logging
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from iqasr.runtime.errors import CheckpointError

logger = logging.getLogger('iqasr')

OTHER_FORMS = ('params-ema', 'state_dict', 'model_state_dict', 'model', 'net')
"""Under which names other trainers keep the weights of a network."""

PREFIXES = ('module.', '_orig_mod.', 'netG.')
"""Prefixes of DataParallel, torch.compile and some trainers, before every name."""

ZIP, PICKLE = b'PK', b'\x80'
"""How files of torch begin: at present, and before version 1.6."""


def load_file(path: str | Path) -> dict[str, Any]:
    """Load a ``.pth``, ``.state`` or ``.safetensors`` file onto the CPU, without running code.

    Raises:
        CheckpointError: If the file is missing, cut short, or holds more than tensors and numbers.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise CheckpointError(f'{path}: there is no such file.')
    try:
        if path.suffix == '.safetensors':
            from safetensors.torch import load_file as load_safetensors

            return load_safetensors(path)
        content = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        raise CheckpointError(f'{path}: cannot be read. {why_unreadable(path, error)}') from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f'{path}: holds no weights; found a {type(content).__name__}.')
    return content


def parameters_in(content: Mapping[str, Any], key: str, path: str | Path) -> dict[str, Tensor]:
    """Find the weights in a loaded checkpoint.

    Args:
        content: What the file holds: BasicSR's form (``params``, ``params_ema``), one of
            `OTHER_FORMS`, or a bare state dict.
        key: The form wanted; another one is used, and said, if it is absent.
        path: For messages.

    Returns:
        The state dict, without the `PREFIXES` that training wrappers put before its names.

    Raises:
        CheckpointError: If it holds no weights, or NaN or infinity among them.
    """
    for name in (key, 'params', 'params_ema', *OTHER_FORMS):
        if isinstance(content.get(name), Mapping):
            if name != key:
                logger.warning("%s has no '%s'; using '%s'.", path, key, name)
            content = content[name]
            break
    weights = {str(name): value for name, value in content.items()}
    if not weights or not all(isinstance(value, Tensor) for value in weights.values()):
        raise CheckpointError(f'{path}: holds no weights; found {list(content)[:5]}.')
    if any(name.endswith('.lora_a') for name in weights):
        raise CheckpointError(f'{path}: holds adapters alone; merge them by scripts/export.py -l.')
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    refuse_non_finite(weights, path)
    return weights


def refuse_non_finite(weights: Mapping[str, Tensor], path: str | Path) -> None:
    """Refuse weights that hold NaN or infinity, as a run that has diverged leaves them.

    Args:
        weights: State dict.
        path: For messages.

    Raises:
        CheckpointError: If there are any; the message names the parameters.
    """
    if names := non_finite_names(weights):
        raise CheckpointError(
            f'{path}: holds NaN or infinity in {listing_of(names)}. '
            'Use finite weights, such as those of an earlier checkpoint.'
        )


def non_finite_names(tensors: Mapping[str, Tensor]) -> list[str]:
    """Name the tensors that hold NaN or infinity."""
    return [name for name, tensor in tensors.items() if not tensor.isfinite().all()]


def listing_of(names: Sequence[str], most: int = 5) -> str:
    """List names, the first of them where there are many.

    Example:
        >>> listing_of(['a', 'b', 'c'], most=2)
        'a, b, ...'
    """
    return ', '.join([*names[:most], *['...'] * (len(names) > most)])


def load_network(
    network: nn.Module, path: str | Path, *, key: str = 'params', strict: bool = True
) -> None:
    """Load weights into a network.

    Args:
        network: Bare network (not wrapped for several processes).
        path: ``.pth`` or ``.safetensors``.
        key: ``params`` or ``params_ema``.
        strict: Refuse weights that do not fit exactly; otherwise load what fits and name the rest.

    Raises:
        CheckpointError: If the weights are of another network.
    """
    weights = parameters_in(load_file(path), key, path)
    own, name = network.state_dict(), type(network).__name__
    fitting = {k: v for k, v in weights.items() if k in own and v.shape == own[k].shape}
    account = account_of(weights, own, len(fitting))
    if account and strict:
        raise CheckpointError(
            f'{path}: these weights are of another network than {name}: {account}. Check the '
            'options of the network, or load what fits with strict_load_g: false (strict_load_d).'
        )
    if account and not fitting:
        raise CheckpointError(f'{path}: not one weight fits {name}: {account}.')
    if account:
        logger.warning('%s: %s.', path, account)
    network.load_state_dict(own | fitting)


def account_of(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], fitting: int) -> str:
    """Say which weights of a file fit a network's own and which do not; empty if all do."""
    shapes = {k: (tuple(v.shape), tuple(own[k].shape)) for k, v in weights.items() if k in own}
    findings = {
        'missing': sorted(own.keys() - weights.keys()),
        'unknown': sorted(weights.keys() - own.keys()),
        'of another size': [f'{k} {a} for {b}' for k, (a, b) in sorted(shapes.items()) if a != b],
    }
    listings = [
        f'{len(names)} {what} ({listing_of(names)})' for what, names in findings.items() if names
    ]
    return '; '.join([f'{fitting} of {len(own)} fit', *listings]) if listings else ''


def why_unreadable(path: Path, error: Exception) -> str:
    """Tell from its bytes what is wrong with a file.

    Args:
        path: ``.pth``, ``.state`` or ``.safetensors``.
        error: What its reader said.
    """
    with path.open('rb') as file:
        start = file.read(16)
    again = 'Copy or download it again.'
    if not start:
        return f'It is empty. {again}'
    if path.suffix == '.safetensors':
        return f'It is damaged: {error}. {again}'
    if start.startswith(ZIP) and not zipfile.is_zipfile(path):
        return f'It is cut short. {again}'
    if not start.startswith((ZIP, PICKLE)):
        return f'It is no checkpoint, as it begins with {start!r}. {again}'
    return (
        'It is damaged, or holds more than tensors and numbers; in that case load it once where '
        'you trust it and save its state dict.'
    )
