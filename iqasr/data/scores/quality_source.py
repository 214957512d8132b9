"""Opening the quality of candidates that options name."""

from collections.abc import Mapping
from typing import Any

from iqasr.data.scores.known_quality import KnownQuality
from iqasr.data.scores.quality_map import QualityMap
from iqasr.data.scores.quality_table import QualityTable
from iqasr.options.opt import checked_options
from iqasr.options.sections import QualityOptions
from iqasr.runtime.errors import OptionError
from iqasr.runtime.paths import resolve


def open_quality(
    quality: Mapping[str, Any] | QualityOptions | KnownQuality | None, path: str
) -> tuple[KnownQuality | None, str]:
    """Read the table or map that options name.

    Args:
        quality: The options, checked or not; or an open table or map.
        path: Dotted path of the options, for messages.

    Returns:
        The table or map, or None without one; and how quality is normalised.

    Raises:
        OptionError: If an option is unknown or of the wrong kind, or both are named.
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no table or map, or is of another scorer.
    """
    if isinstance(quality, Mapping):
        quality = QualityOptions(**checked_options(path, quality, QualityOptions))
    if not isinstance(quality, QualityOptions):
        return quality, 'none'
    if quality.table is not None and quality.map is not None:
        raise OptionError(f'{path}: give a table or a map, not both.')
    scorer = quality.scorer if isinstance(quality.scorer, str) else None
    if quality.table is not None:
        return QualityTable.read(str(resolve(quality.table)), scorer), quality.norm
    if quality.map is not None:
        return QualityMap.read(str(resolve(quality.map)), scorer), quality.norm
    return None, quality.norm
