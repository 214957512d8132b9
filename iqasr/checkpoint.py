"""Checkpoints that survive: written beside, flushed, then renamed; read without running code."""

import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from iqasr.distributed import Process
from iqasr.paths import time_stamp
from iqasr.unreadable import why_unreadable

logger = logging.getLogger('iqasr')


OTHER_FORMS = ('params-ema', 'state_dict', 'model_state_dict', 'model', 'net')
"""Under which names other trainers keep the weights of a network."""

PREFIXES = ('module.', '_orig_mod.', 'netG.')
"""What DataParallel, torch.compile and some trainers put before every name."""


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be written, read, or used for this network."""


def save_atomically(content: Any, path: Path) -> None:
    """Save so that `path` holds either its old content or all of the new one.

    Raises:
        CheckpointError: If the file cannot be written (a full disk); what was there before stays.
    """
    temporary = path.with_name(f'.{path.name}.partial')
    try:
        with temporary.open('wb') as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise CheckpointError(
            f'{path}: cannot be saved ({error}). Free some space and start again with '
            '--auto_resume; earlier checkpoints are untouched.'
        ) from error


def save_safetensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Save tensors so that `path` holds either its old content or all of the new one.

    Raises:
        CheckpointError: If the file cannot be written; what was there before stays.
    """
    write_bytes_atomically(
        save({k: v.cpu().contiguous() for k, v in tensors.items()}, metadata), path
    )


def write_bytes_atomically(content: bytes, path: Path) -> None:
    """Write a file so that `path` holds either its old content or all of the new one.

    Raises:
        CheckpointError: If it cannot be written; what was there before stays.
    """
    temporary = path.with_name(f'.{path.name}.partial')
    try:
        with temporary.open('wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CheckpointError(f'{path}: cannot be saved ({error}).') from error


def copy_atomically(source: Path, path: Path) -> None:
    """Copy a file so that `path` holds either its old content or all of the new one.

    Raises:
        CheckpointError: If it cannot be written.
    """
    temporary = path.with_name(f'.{path.name}.partial')
    try:
        shutil.copyfile(source, temporary)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CheckpointError(f'{path}: cannot be saved ({error}). Free some space.') from error


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
        CheckpointError: If it holds no weights.
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
    return weights


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
            'options of the network, or load what fits with strict_load: false.'
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
        f'{len(names)} {what} ({", ".join(names[:5])}{", ..." if len(names) > 5 else ""})'
        for what, names in findings.items()
        if names
    ]
    return '; '.join([f'{fitting} of {len(own)} fit', *listings]) if listings else ''


class CheckpointFolder:
    """The checkpoints of a run: ``models/<net>_<iter>.pth``, ``training_states/<iter>.state``.

    The state is written last: where there is a state, its networks are complete.

    Args:
        root: Folder of the run.
        keep: Number of newest states to keep (networks are never removed); None keeps all.
    """

    def __init__(self, root: Path, keep: int | None = None) -> None:
        self.models = root / 'models'
        self.states = root / 'training_states'
        self.keep = keep

    def save(self, iteration: int, networks: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Save networks and training state of an iteration."""
        self.save_networks(iteration, networks)
        self.states.mkdir(parents=True, exist_ok=True)
        save_atomically(dict(state), self.states / f'{iteration}.state')
        for old in self.iterations()[: -self.keep] if self.keep else []:
            (self.states / f'{old}.state').unlink()

    def save_networks(self, name: int | str, networks: Mapping[str, Any]) -> None:
        """Save networks alone, as ``<network>_<name>.pth``."""
        self.models.mkdir(parents=True, exist_ok=True)
        for network, content in networks.items():
            save_atomically(content, self.models / f'{network}_{name}.pth')

    def publish_best(self, iteration: int | None) -> None:
        """Copy the generator (and adapters) of an iteration to ``*_best``; with None, remove those.

        Raises:
            CheckpointError: If a copy cannot be written.
        """
        for name, suffix in (('net_g', '.pth'), ('lora_g', '.safetensors')):
            best = self.models / f'{name}_best{suffix}'
            source = self.models / f'{name}_{iteration}{suffix}'
            if iteration is None:
                best.unlink(missing_ok=True)
            elif source.is_file():
                copy_atomically(source, best)

    def iterations(self) -> list[int]:
        """List the iterations with a training state, oldest first."""
        names = (re.fullmatch(r'(\d+)\.state', p.name) for p in self.states.glob('*.state'))
        return sorted(int(match[1]) for match in names if match)

    def load(self, iteration: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Load networks and training state of an iteration.

        Raises:
            CheckpointError: If a file of it is missing or damaged.
        """
        state = load_file(self.states / f'{iteration}.state')
        networks = {
            name: load_file(self.models / f'{name}_{iteration}.pth') for name in state['networks']
        }
        return networks, state

    def set_aside_after(self, iteration: int, process: Process) -> None:
        """Move the states of later iterations away: the run takes another course from here."""
        later = [number for number in self.iterations() if number > iteration]
        process.barrier()
        if later and process.is_main:
            folder = self.states / f'abandoned_{time_stamp()}'
            folder.mkdir()
            for number in later:
                (self.states / f'{number}.state').rename(folder / f'{number}.state')
            logger.warning('States of iterations after %d are kept in %s.', iteration, folder)
        process.barrier()

    def load_newest(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Load the newest checkpoint that is whole.

        Returns:
            Networks and training state; None if the run has no checkpoint yet.

        Raises:
            CheckpointError: If there are checkpoints and none is whole.
        """
        reasons = []
        for iteration in reversed(self.iterations()):
            try:
                return self.load(iteration)
            except CheckpointError as error:
                logger.warning('Checkpoint %d is passed over: %s', iteration, error)
                reasons.append(str(error))
        if reasons:
            raise CheckpointError(f'No checkpoint in {self.states} is whole: {reasons[0]}')
        return None


def write_text_atomically(text: str, path: Path) -> None:
    """Write a small text file so that it is never half there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(text.encode(), path)


def write_json(content: Any, path: Path) -> None:
    """Write JSON, atomically and readably."""
    write_text_atomically(json.dumps(content, indent=2, ensure_ascii=False) + '\n', path)
