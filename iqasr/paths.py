"""Where things are: option files may be run from any working directory."""

import datetime
from pathlib import Path


def project_root() -> Path:
    """Folder that receives ``experiments/``, ``results/`` and ``tb_logger/``.

    Returns:
        The checkout that holds this package, or the working directory if it is installed elsewhere.
    """
    checkout = Path(__file__).resolve().parents[1]
    return checkout if (checkout / 'setup.py').is_file() else Path.cwd()


def resolve(path: str | Path) -> Path:
    """Find a path of an option file.

    Args:
        path: Absolute, or relative to the working directory or to the project root.

    Returns:
        An absolute path; the one below the working directory if neither exists.
    """
    path = Path(path).expanduser()
    for base in (Path.cwd(), project_root()):
        if (base / path).exists():
            return base / path
    return Path.cwd() / path


def time_stamp() -> str:
    """The current time to the millisecond, fit for file names."""
    return datetime.datetime.now().strftime('%Y%m%d_%H%M%S_%f')[:-3]
