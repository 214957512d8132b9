"""The checkpoints of a run: what is saved, kept, set aside and found again."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iqasr.runtime.atomic_files import copy_atomically, save_atomically
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import CheckpointError, StorageError
from iqasr.runtime.paths import time_stamp
from iqasr.runtime.weights import load_file, refuse_non_finite

logger = logging.getLogger('iqasr')


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

    def make_folders(self) -> None:
        """Make the folders of networks and states."""
        for folder in (self.models, self.states):
            folder.mkdir(parents=True, exist_ok=True)

    def save(self, iteration: int, networks: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Save networks and training state of an iteration."""
        self.save_networks(iteration, networks)
        save_atomically(dict(state), self.state_file(iteration))
        for old in self.iterations()[: -self.keep] if self.keep else []:
            self.state_file(old).unlink()

    def save_networks(self, name: int | str, networks: Mapping[str, Any]) -> None:
        """Save networks alone, as ``<network>_<name>.pth``."""
        self.make_folders()
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
            StorageError: If a file of it is missing or damaged.
        """
        try:
            state = load_file(self.state_file(iteration))
            return self.load_networks(state), state
        except CheckpointError as error:
            raise StorageError(str(error)) from error

    def load_networks(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Load the networks that belong to a training state; none where it names none.

        Raises:
            CheckpointError: If a file is missing or damaged, or holds NaN or infinity.
        """
        networks = {}
        for name in state.get('networks', []):
            path = self.models / f'{name}_{state["iter"]}.pth'
            networks[name] = load_file(path)
            for weights in networks[name].values():
                refuse_non_finite(weights, path)
        return networks

    def state_file(self, iteration: int) -> Path:
        """Name the file of a training state."""
        return self.states / f'{iteration}.state'

    def set_aside_after(self, iteration: int, process: Process) -> None:
        """Move the states of later iterations away: the run takes another course from here."""
        later = [number for number in self.iterations() if number > iteration]
        process.barrier()
        if later and process.is_main:
            folder = self.states / f'abandoned_{time_stamp()}'
            folder.mkdir()
            for number in later:
                self.state_file(number).rename(folder / f'{number}.state')
            logger.warning('States of iterations after %d are kept in %s.', iteration, folder)
        process.barrier()

    def find_newest(self) -> Path | None:
        """Find the training state of the newest checkpoint that is whole.

        Returns:
            Its file; None if the run has no checkpoint yet.

        Raises:
            StorageError: If there are checkpoints and none is whole.
        """
        reasons = []
        for iteration in reversed(self.iterations()):
            try:
                self.load(iteration)
                return self.state_file(iteration)
            except StorageError as error:
                logger.warning('Checkpoint %d is passed over: %s', iteration, error)
                reasons.append(str(error))
        if reasons:
            raise StorageError(f'No checkpoint in {self.states} is whole: {reasons[0]}')
        return None
