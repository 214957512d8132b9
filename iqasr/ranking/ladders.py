"""Ladders to train on: of crops of photographs, some over the output of a network.

Source:
    Distortions whose order is not yet learnt are drawn more often, as hard examples are in
    Shrivastava et al. (2016), Training region-based object detectors with online hard example
    mining, CVPR; here by a running error rate of each distortion.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from iqasr.degradation import from_uint8
from iqasr.degradation.draws import choose, happens, uniform
from iqasr.ranking.distortions import Distortion, add_noise, compress, make_ladder
from iqasr.ranking.restorations import Restoration, Tuning
from iqasr.runtime.crops import Place, cut_square

MOMENTUM = 0.05
"""Momentum of the running error rates."""

LEAST_RATE = 0.02
"""Added to the error rates, so that a distortion that is learnt is still drawn."""

LEAST_SEVERITY = {'noise': 0.3, 'sharpen': 0.3}
"""Severity from which a distortion counts as damage. People prefer a little grain to none."""

RESTORED_SHARE = 0.4
"""Share of ladders that lead from a photograph over the output of a network, if there are any."""

TWICE_SHARE = 0.3
"""Share of the other ladders all of whose images are then compressed or made noisy."""


class LadderBatch(NamedTuple):
    """B ladders of L images."""

    images: Tensor
    """:math:`(B, L, 3, S, S)` RGB in [0, 1]."""
    severity: Tensor
    """:math:`(B, L)`, ascending in each row."""
    scaled: Tensor
    """Whether a ladder has no second distortion, so that its scale is known, :math:`(B,)` bool."""
    kinds: list[str | None]
    """The distortion of each ladder; None where the steps are those of a `Tuning`."""


class LadderSampler:
    """Draws ladders.

    Args:
        photographs: Each ``(H, W, 3)`` uint8 RGB; those smaller than a crop are not used.
        distortions: Distortions by name.
        networks: Networks whose outputs are rungs of ladders.
        rungs: Images of a ladder below the photograph.
        crop_px: Side of the images, S.

    Raises:
        ValueError: If all photographs are too small, crops are no multiple of a network's scale, or
            a ladder over an output has fewer than 3 rungs.
    """

    def __init__(
        self,
        photographs: Sequence[np.ndarray],
        distortions: Mapping[str, Distortion],
        networks: Sequence[Restoration | Tuning] = (),
        *,
        rungs: int,
        crop_px: int,
    ) -> None:
        self.photographs = [p for p in photographs if min(p.shape[:2]) >= crop_px]
        if not self.photographs:
            raise ValueError(f'No photograph has {crop_px} pixels a side; give larger ones.')
        if networks and rungs < 3:
            raise ValueError(f'rungs is {rungs}; with networks, give at least 3.')
        if odd := [network.scale for network in networks if crop_px % network.scale]:
            raise ValueError(f'crop_px is {crop_px}; make it a multiple of the scale {odd[0]}.')
        self.distortions, self.networks = dict(distortions), list(networks)
        self.rungs, self.crop_px = rungs, crop_px
        self.error_rates = dict.fromkeys(distortions, 0.5)
        """Running share of pairs in the wrong order; the worst distortions are drawn most often."""

    def update_error_rates(self, kinds: Sequence[str | None], right: Tensor) -> None:
        """Take note of the share of pairs in the right order of each ladder, :math:`(B,)`."""
        for kind, share in zip(kinds, right.tolist(), strict=True):
            if kind is not None:
                self.error_rates[kind] += MOMENTUM * (1 - share - self.error_rates[kind])

    def draw(self, count: int, generator: torch.Generator) -> LadderBatch:
        """Draw ladders."""
        weights = {kind: LEAST_RATE + rate for kind, rate in self.error_rates.items()}
        drawn = choose(weights, count, generator)
        ladders = [self.draw_ladder(kind, generator) for kind in drawn]
        images, severity, scaled, kinds = zip(*ladders, strict=True)
        return LadderBatch(
            torch.stack(images), torch.tensor(severity), torch.tensor(scaled), list(kinds)
        )

    def draw_ladder(
        self, kind: str, generator: torch.Generator
    ) -> tuple[Tensor, list[float], bool, str | None]:
        """Draw one ladder; what it returns of it is as in `LadderBatch`."""
        crop = from_uint8(self.draw_crop(generator))[None]
        restored = bool(self.networks) and happens(RESTORED_SHARE, generator)
        severity = draw_severity(kind, self.rungs - 2 * restored, generator)
        distortion = self.distortions[kind]
        if restored:
            number = int(torch.randint(len(self.networks), (), generator=generator))
            network = self.networks[number]
            if isinstance(network, Tuning):
                return *network.ladder(crop, self.rungs), False, None
            return *network.ladder(crop, distortion, severity, generator), False, kind
        images = make_ladder(crop, distortion, severity, generator)[0]
        twice = happens(TWICE_SHARE, generator)
        if twice:
            other = (compress, add_noise)[happens(0.5, generator)]
            images = other(images, uniform(0.1, 0.3, 1, generator).item(), generator)
        return images, severity, not twice, kind

    def draw_crop(self, generator: torch.Generator) -> Tensor:
        """Draw a crop with some detail, :math:`(3, S, S)` uint8, rotated and mirrored at random."""
        for _ in range(10):
            number = int(torch.randint(len(self.photographs), (), generator=generator))
            photograph = self.photographs[number]
            place = draw_place(photograph.shape[:2], self.crop_px, generator)
            piece = cut_square(photograph, place, self.crop_px)
            if np.diff(piece.astype(np.int16), axis=0).std() > 4:
                break
        crop = torch.from_numpy(np.ascontiguousarray(piece.transpose(2, 0, 1)))
        quarter, mirrored = int(torch.randint(4, (), generator=generator)), happens(0.5, generator)
        crop = crop.rot90(quarter, (1, 2))
        return crop.flip(2) if mirrored else crop


def draw_severity(kind: str, rungs: int, generator: torch.Generator) -> list[float]:
    """Draw a severity in each of `rungs` equal steps, ascending, after the photograph's 0."""
    steps = (torch.arange(rungs) + torch.rand(rungs, generator=generator)) / rungs
    least = LEAST_SEVERITY.get(kind, 0.0)
    return [0.0, *(least + (1 - least) * steps).tolist()]


def draw_place(size: Sequence[int], side: int, generator: torch.Generator) -> Place:
    """Draw where a square lies in an image of a height and width."""
    top, left = (int(torch.randint(length - side + 1, (), generator=generator)) for length in size)
    return top, left
