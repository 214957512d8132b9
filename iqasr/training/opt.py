"""The options of a run as BasicSR passes them to models and data sets."""

import secrets
from pathlib import Path
from typing import Any

from iqasr.options.sections import Options
from iqasr.pretrained import locate_weights
from iqasr.runtime.distributed import Process


def choose_seed(options: Options, process: Process) -> int:
    """Take the seed of the option file, or draw one that all processes share."""
    seed = options.manual_seed
    return process.gather(secrets.randbelow(10_000) if seed is None else seed)[0]


def opt_of(
    options: Options,
    process: Process,
    root: Path,
    *,
    seed: int,
    is_train: bool,
    resume_state: Path | None = None,
) -> dict[str, Any]:
    """Add to the options of a file what BasicSR's ``parse_options`` adds.

    Args:
        options: The checked option file.
        process: This process.
        root: Folder of the run or of the results.
        seed: Seed of the run.
        is_train: False in a test.
        resume_state: Training state that the run continues from.
    """
    opt = options.as_dict()
    opt |= {
        'is_train': is_train,
        'dist': process.world_size > 1,
        'rank': process.rank,
        'world_size': process.world_size,
        'num_gpu': int(process.device.type != 'cpu'),
        'manual_seed': seed,
        'auto_resume': False,
        'root_path': str(root.parents[1]),
    }
    for key, section in opt['datasets'].items():
        opt['datasets'][key] = add_place(section, key, options.scale)
    path = opt.setdefault('path', {})
    for key in [key for key in path if key.startswith('pretrain_network') and path[key]]:
        path[key] = str(locate_weights(path[key]))
    path['resume_state'] = resume_state and str(resume_state)
    folders = ('models', 'training_states', 'visualization') if is_train else ('visualization',)
    path |= {'experiments_root' if is_train else 'results_root': str(root), 'log': str(root)}
    path |= {name: str(root / name) for name in folders}
    return opt


def add_place(section: dict[str, Any], key: str, scale: int | None) -> dict[str, Any]:
    """Add to the section of a data set what BasicSR adds: its phase and scale; and a name."""
    place = {'phase': key.split('_')[0]} | ({} if scale is None else {'scale': scale})
    return {'name': key} | section | place
