"""Training of a ranker from a folder of photographs and an option file."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from iqasr.data.files.photographs import read_photographs, reduced
from iqasr.models.networks import open_network
from iqasr.ranking.distortions import DISTORTIONS, Distortion
from iqasr.ranking.restorations import Restoration, Tuning
from iqasr.ranking.training import RankerOptions, RankerTraining, train_ranker
from iqasr.ranking.votes import cross_validate, describe_agreement, measure, read_votes
from iqasr.registry import SCORER_REGISTRY, build

logger = logging.getLogger('iqasr')

REDUCTIONS = (1.0, 1.6)
"""Every photograph is used in these reductions, so that texture has more than one size."""


def train_from_folder(
    folder: str,
    output: str,
    options: RankerOptions,
    *,
    reduce: float = 2.0,
    networks: Sequence[str] = (),
    tuned: Sequence[str] = (),
    votes: str | None = None,
    teacher: Mapping[str, Any] | None = None,
    start: str | None = None,
) -> Path:
    """Train a ranker on a folder of photographs; see `train_ranker`.

    Args:
        folder: Photographs.
        output: ``.safetensors`` to write.
        options: How to train.
        reduce: Factor by which photographs are reduced first, so that they are sharp.
        networks: Networks whose outputs are rungs of ladders, see `open_network`.
        tuned: A network without and with tuning on a ranker, see `Tuning`; or none.
        votes: Pairs with votes, to which the detail is fitted, see `read_votes`.
        teacher: Section of a scorer whose order is learnt as well.
        start: Weights of a ranker to start from.

    Returns:
        `output`.

    Raises:
        DataError: If there are no photographs, or one is damaged.
        OptionError: If the option file is wrong.
        ValueError: If the photographs are too small, or the teacher cannot be built.
    """
    scorer = build(SCORER_REGISTRY, teacher) if teacher else None
    voted = read_votes(votes) if votes else []
    photographs = [reduced(p, r) for _, p in read_photographs(folder, reduce) for r in REDUCTIONS]
    restorations = [Restoration(*open_network(name), name) for name in networks]
    tunings = [open_tuning(*tuned)] if tuned else []
    first = Path(start) if start else None
    training = RankerTraining(
        photographs,
        DISTORTIONS,
        options,
        scorer,
        first,
        restorations=restorations,
        tunings=tunings,
        votes=voted,
    )
    path = train_ranker(training, Path(output))
    if voted:
        agreement = cross_validate(measure(voted, training.network))
        logger.info('%s', describe_agreement(agreement))
    return path


def open_tuning(before: str, after: str) -> Tuning:
    """Open a network without and with tuning, see `open_network`; their scales must be equal."""
    (first, scale), (second, other) = open_network(before), open_network(after)
    if scale != other:
        raise ValueError(f'{before} enlarges {scale} times, {after} {other} times.')
    return Tuning(first, second, scale, f'{before}, {after}')


def distortions_with(network: str | None) -> dict[str, Distortion]:
    """All distortions by name; with the file of a network (`open_network`), its restoration too."""
    if network is None:
        return dict(DISTORTIONS)
    return DISTORTIONS | {'network': Restoration(*open_network(network)).distort}
