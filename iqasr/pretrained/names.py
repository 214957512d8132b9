"""Weights where an option or an argument stands for a file: a path, or a name of the catalogue."""

from pathlib import Path

from iqasr.pretrained.cache import find_weights, is_here, is_known, megabytes
from iqasr.pretrained.catalogue import CATALOGUE, suggest_weights
from iqasr.pretrained.entry import Entry
from iqasr.runtime.errors import MissingWeightsError
from iqasr.runtime.paths import resolve


def named_entry(weights: str | Path) -> Entry | None:
    """Tell which entry of the catalogue is meant.

    Args:
        weights: A path, or a name. A file that exists, or the folder of a run, is never taken for
            a name.

    Returns:
        The entry; None for a path, whether or not there is a file.

    Raises:
        MissingWeightsError: If it is a single word, and neither a file nor a name.
    """
    name, path, found = str(weights), Path(weights), resolve(weights)
    if found.is_file() or (found.is_dir() and (not is_known(name) or (found / 'models').is_dir())):
        return None
    if not is_known(name) and len(path.parts) == 1 and not path.suffix:
        raise MissingWeightsError(
            f"'{name}' is neither a file nor the name of weights.{suggest_weights(name)}"
        )
    return CATALOGUE.get(name)


def locate_weights(weights: str | Path) -> Path:
    """Find the file of weights that are given by path or by name, and fetch what has a name.

    Returns:
        An absolute path; not necessarily of a file, if `weights` is a path.

    Raises:
        MissingWeightsError: As `named_entry` and `find_weights`.
    """
    entry = named_entry(weights)
    return resolve(weights) if entry is None else find_weights(entry.name)


def notice_of_fetch(weights: str | Path) -> str:
    """Say that weights will be fetched; empty for a path, and for a name that is here."""
    entry = named_entry(weights)
    if entry is None or is_here(entry):
        return ''
    return f'{entry.name} will be fetched ({megabytes(entry.size)})'
