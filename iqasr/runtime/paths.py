"""Where things are: option files may be run from any working directory."""

import datetime
import logging
from pathlib import Path

logger = logging.getLogger('iqasr')


def project_root() -> Path:
    """Folder that receives ``experiments/``, ``results/`` and ``tb_logger/``.

    Returns:
        The checkout that holds this package, or the working directory if it is installed elsewhere.
    """
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / 'setup.py').is_file() else Path.cwd()


def packaged_weights(name: str) -> Path:
    """Find a file of weights that comes with the package; iqasr/weights/README.md lists them."""
    return Path(__file__).parents[1] / 'weights' / name


def resolve(path: str | Path) -> Path:
    """Find a path of an option file.

    Args:
        path: Absolute, or relative to the working directory or the project root; files of this
            package begin with ``iqasr/`` wherever it is installed.

    Returns:
        An absolute path; the one below the working directory if none exists.
    """
    path = Path(path).expanduser()
    bases = [Path.cwd(), project_root()]
    if path.parts[:1] == ('iqasr',):  # other names beside the package are other packages
        bases.append(Path(__file__).resolve().parents[2])
    for base in bases:
        if (base / path).exists():
            return base / path
    return Path.cwd() / path


def natural_order(path: Path) -> tuple[int, str]:
    """Sort key by name, with numbers in their order where all else is the same.

    Example:
        >>> sorted([Path('net_g_10.pth'), Path('net_g_9.pth')], key=natural_order)[0].name
        'net_g_9.pth'
    """
    return len(path.name), path.name


def time_stamp() -> str:
    """The current time to the millisecond, fit for file names."""
    return datetime.datetime.now().strftime('%Y%m%d_%H%M%S_%f')[:-3]


def set_aside(folder: Path | None) -> None:
    """Rename the folder of an earlier run of the same name."""
    if folder is not None and folder.exists():
        archive = folder.with_name(f'{folder.name}_archived_{time_stamp()}')
        logger.info('%s exists; it is kept as %s.', folder, archive.name)
        folder.rename(archive)
