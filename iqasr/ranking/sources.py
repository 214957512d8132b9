"""From folders and option files to what a ranker is trained on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from iqasr.data.files.photographs import read_photographs, reduced
from iqasr.models.network_files import open_network
from iqasr.ranking.ladders import KINDS, Damage, Restored
from iqasr.ranking.training import RankerOptions, RankerTraining, train_ranker
from iqasr.registry import SCORER_REGISTRY, build

SIZES = (1.0, 1.6)
"""Every photograph serves in these reductions, so that texture comes in more than one size."""


def train_from_folder(
    folder: str,
    output: str,
    options: RankerOptions,
    *,
    reduce: float = 2.0,
    network: str | None = None,
    teacher: Mapping[str, Any] | None = None,
    start: str | None = None,
) -> Path:
    """Train a ranker on a folder of photographs; see `train_ranker`.

    Args:
        folder: Photographs.
        output: ``.safetensors`` to write.
        options: How to train.
        reduce: Photographs are made smaller by this factor first, until they are sharp.
        network: As in `kinds_with`.
        teacher: Section of a scorer whose order is learnt too.
        start: Weights of a ranker to start from.

    Returns:
        `output`.

    Raises:
        DataError: If there are no photographs, or one is broken.
        OptionError: If the option file is wrong.
        ValueError: If the photographs are too small, or the teacher cannot be built.
    """
    scorer = build(SCORER_REGISTRY, teacher) if teacher else None
    photographs = photographs_of(folder, reduce)
    first = Path(start) if start else None
    training = RankerTraining(photographs, kinds_with(network), options, scorer, first)
    return train_ranker(training, Path(output))


def photographs_of(folder: str, reduce: float) -> list[np.ndarray]:
    """Read all photographs, each in all `SIZES`."""
    return [reduced(p, size) for _, p in read_photographs(folder, reduce) for size in SIZES]


def kinds_with(network: str | None) -> dict[str, Damage]:
    """All kinds of damage; with the file of a network (`open_network`), its restorations too."""
    if network is None:
        return dict(KINDS)
    return KINDS | {'network': Restored(*open_network(network))}
