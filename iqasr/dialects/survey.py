"""Which of the option files in a folder run here, and what would be left out of them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iqasr.dialects import adopt
from iqasr.models.networks import build_network
from iqasr.option_check import load_options
from iqasr.option_file import read_yaml
from iqasr.options import RECOGNISED, OptionError


def survey(folder: str | Path) -> list[tuple[str, str]]:
    """Check every option file below a folder and build its network, without data and weights.

    Args:
        folder: Holds ``.yml`` files, at any depth.

    Returns:
        Paths below the folder, and ``runs``, ``runs, <n> warnings``, or why not.

    Raises:
        OptionError: If there is none.
    """
    paths = sorted(Path(folder).rglob('*.yml'))
    if not paths:
        raise OptionError(f'{folder}: holds no option file (.yml).')
    with quiet():
        return [(path.relative_to(folder).as_posix(), verdict(path)) for path in paths]


def verdict(path: Path) -> str:
    """Say whether an option file runs; the reason is all that the check finds."""
    try:
        content = read_yaml(path)
        options = load_options(path, phase='train' if 'train' in content else 'test')
        if options.network_g != RECOGNISED:
            options.path.pretrain_network_g = None
            build_network(options, 'g')
        count = len(adopt(content)[1].warnings)
    except ValueError as error:
        return str(error).removeprefix(f'{path}: ')
    return 'runs' + (f', {count} warning{"s" * (count > 1)}' if count else '')


@contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings to their number."""
    logger = logging.getLogger('iqasr')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
