"""Where a run starts: from its own checkpoints, another training state, or weights."""

from pathlib import Path

from iqasr.options.sections import Options
from iqasr.runtime.checkpoint_folder import CheckpointFolder
from iqasr.runtime.distributed import Process
from iqasr.runtime.errors import CheckpointError, OptionError
from iqasr.runtime.paths import natural_order, resolve


def find_start(options: Options, root: Path, *, auto_resume: bool) -> Path | None:
    """Find the training state that a run continues from; None for a new one.

    With `auto_resume`, its own checkpoints come before ``path.resume_state``, as in BasicSR.
    """
    own = CheckpointFolder(root).find_newest() if auto_resume else None
    return own or find_state(options.path.resume_state)


def require_same_start(state: Path | None, process: Process) -> None:
    """Make sure that all processes continue from the same training state.

    Raises:
        CheckpointError: If not.
    """
    found = process.gather(state and str(state))
    if len(set(found)) > 1:
        listed = ', '.join(f'process {rank}: {own or "none"}' for rank, own in enumerate(found))
        raise CheckpointError(
            f'The processes find different checkpoints to continue from ({listed}). path.root must '
            'be one folder that all machines share, and every process must be able to read it.'
        )


def require_weights_elsewhere(options: Options, root: Path) -> None:
    """Refuse to start from weights in the folder of an earlier run that is about to be set aside.

    Raises:
        OptionError: If an option names such weights.
    """
    for label in ('pretrain_network_g', 'pretrain_network_d'):
        weights = getattr(options.path, label)
        if weights is not None and resolve(weights).is_relative_to(root):
            raise OptionError(
                f'path.{label}: {weights} lies in the folder of an earlier run of this name, which '
                'would be set aside. Train under another name, or continue with --auto_resume.'
            )


def find_state(named: str | None) -> Path | None:
    """Find the training state of option ``path.resume_state``; None if it names none.

    Raises:
        OptionError: If it is none.
    """
    if named is None:
        return None
    path = resolve(named)
    if path.suffix != '.state' or not path.stem.isdigit():
        raise OptionError(f'path.resume_state: {named} is no file <iteration>.state.')
    if not path.is_file():
        names = [p.name for p in sorted(path.parent.glob('*.state'), key=natural_order)]
        found = f'There are: {", ".join(names)}' if names else 'There is none in its folder'
        raise OptionError(f'path.resume_state: {named}: there is no such file. {found}.')
    return path
