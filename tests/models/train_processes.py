"""Train models of several kinds, each shared by several processes.

For each ``KIND.yml`` of the folder, with its batches in ``KIND.batches``, every process takes its
share of the batches, and writes what it has trained to ``KIND.RANK``.
"""

from pathlib import Path

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from iqasr.checking.check import load_options
from iqasr.models import RestorationModel
from iqasr.runtime.distributed import Process, joined_processes
from iqasr.training.opt import opt_of


def build_model(path: Path, process: Process) -> RestorationModel:
    """Build the model of an option file."""
    root = path.parent / 'experiments' / path.stem
    return RestorationModel(opt_of(load_options(path), process, root, seed=0, is_train=True))


def share_of(batch, rank, count):
    """Take every so-manieth sample of a batch, as the loader deals them out."""
    return tree_map_only(Tensor, lambda tensor: tensor[rank::count].contiguous(), batch)


def train(model, iterations):
    """Train with the batches of each iteration; from the second on, without looking at the start.

    Returns:
        The weights of all networks, and the values of the log as means over all processes.
    """
    logs = []
    for iteration, batches in enumerate(iterations, 2):
        model.update_learning_rate(iteration)
        for batch in batches:
            model.feed_data(batch)
        model.optimize_parameters(iteration)
        logs.append(model.get_current_log())
    networks = model.step.networks() | {'net_g_ema': model.net_g_ema}
    return {
        'weights': {name: net.state_dict() for name, net in networks.items()},
        'logs': logs,
        'calibration': model.step.objective.calibration_state(),
    }


def train_folder(folder):
    """Train every option file of a folder with its batches, as one of several processes."""
    with joined_processes(cpu=True) as process:
        for path in sorted(Path(folder).glob('*.yml')):
            model = build_model(path, process)
            iterations = torch.load(path.with_suffix('.batches'))
            shares = [
                [share_of(batch, process.rank, process.world_size) for batch in batches]
                for batches in iterations
            ]
            torch.save(train(model, shares), path.with_suffix(f'.{process.rank}'))
