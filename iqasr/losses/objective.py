"""The training sum: named terms, each already weighted, each logged."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from iqasr.losses.calibration import GradientRatio
from iqasr.losses.shared_features import share_features
from iqasr.registry import LOSS_REGISTRY, build
from iqasr.runtime.errors import MissingWeightsError


@dataclass(frozen=True)
class Batch:
    """What a term may look at.

    All images are :math:`(N, 3, H, W)` RGB float32; the low-quality input is smaller by the scale.
    """

    lq: Tensor
    """Low-quality input, in [0, 1]."""

    gt: Tensor
    """Ground truth chosen for each sample, in [0, 1]."""

    output: Tensor
    """What the network made of `lq`; not clamped, carries the gradient."""

    generator: torch.Generator | None = None
    """CPU generator of the batch's place, for terms that draw."""

    iteration: int = 1
    """Number of the iteration, from 1."""

    base: Tensor | None = None
    """What the network made of `lq` before this run began; no gradient; only if a term needs it."""

    average: Tensor | None = None
    """What the averaged network makes of `lq`; no gradient; only if a term needs it."""

    negative: Tensor | None = None
    """A version of each image that people judged worse; only if a term needs it."""

    negative_map: Tensor | None = None
    """Where it is worse, :math:`(N, 1, H, W)`; 0 for images that have no such version."""

    sharpened: Tensor | None = None
    """The ground truth, sharpened; only if a term asks for it."""


class Term(nn.Module, ABC):
    """One addend of the objective."""

    calibration: GradientRatio | None = None
    """How the weight is found from the other terms; None where it is given."""

    needs_base: bool = False
    """Whether it looks at `Batch.base`."""

    needs_average: bool = False
    """Whether it looks at `Batch.average`."""

    needs_negative: bool = False
    """Whether it looks at `Batch.negative` and `Batch.negative_map`."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: dict[str, Tensor] = {}
        """What the last call wants logged, detached: ``q`` of a term ``x`` as ``q_x``."""

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Return a scalar to minimise, already weighted."""

    def check_size(self, side: int) -> None:
        """Refuse output crops of a side, in pixels, that the term cannot work on."""

    def calibrate(self, others: Tensor, batch: Batch) -> None:
        """Adapt the weight, before the call, to the sum of the terms whose weight is given."""


class ReferenceTerm(Term):
    """Any loss of BasicSR's registry, called on output and ground truth.

    Args:
        loss: A module with the call ``loss(output, gt)``, or ``loss(output)`` where the next
            argument is a weight (total variation). Several results (BasicSR's perceptual loss
            returns content and style) are added, absent ones left out.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss
        arguments = list(inspect.signature(loss.forward).parameters)
        self.compares = len(arguments) > 1 and arguments[1] != 'weight'

    def forward(self, batch: Batch) -> Tensor:
        """Compare the output with the ground truth."""
        result = self.loss(batch.output, *([batch.gt] if self.compares else []))
        if isinstance(result, tuple):
            result = sum(part for part in result if part is not None)
        return result


class Objective(nn.Module):
    """The sum of its terms, whose perceptual losses share features, see `share_features`.

    Args:
        terms: Terms by name; a term ``x`` comes from ``train.x_opt`` and is logged as ``l_x``.
        sharpened: Names of the terms that take `Batch.sharpened` for the ground truth.
    """

    def __init__(self, terms: Mapping[str, Term], sharpened: Collection[str] = ()) -> None:
        super().__init__()
        self.sharpened = sharpened
        self.terms = nn.ModuleDict(terms)
        self.features = share_features(self.terms)
        if terms and all(term.calibration for term in terms.values()):
            raise ValueError('gradient_ratio: there is no term to compare with; give loss_weight.')

    def needs(self, what: str) -> bool:
        """Tell whether any term looks at ``base``, ``average`` or ``negative``."""
        return any(getattr(term, f'needs_{what}') for term in self.terms.values())

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Evaluate every term.

        Returns:
            The sum, and the detached value of each term under its logged name.
        """
        seen = dict.fromkeys(self.terms, batch)
        seen |= {n: replace(batch, gt=batch.sharpened) for n in self.sharpened if n in seen}
        given = {n: term for n, term in self.terms.items() if term.calibration is None}
        values = {name: term(seen[name]) for name, term in given.items()}
        others = sum(values.values())
        for name in self.calibrations():
            self.terms[name].calibrate(others, seen[name])
            values[name] = self.terms[name](seen[name])
        log = {f'l_{name}': value.detach() for name, value in values.items()}
        for name, term in self.terms.items():
            log |= {f'{note}_{name}': value for note, value in term.notes.items()}
        self.features.clear()
        return sum(values.values()), log

    def calibrations(self) -> dict[str, GradientRatio]:
        """How weights are found, by name of the term."""
        return {n: term.calibration for n, term in self.terms.items() if term.calibration}

    def calibration_state(self) -> dict[str, Tensor]:
        """What was measured to find weights, by name of the term."""
        return {n: calibration.measured for n, calibration in self.calibrations().items()}

    def load_calibration_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from `calibration_state`; a term it does not know starts measuring."""
        for name, calibration in self.calibrations().items():
            calibration.measured = state.get(name, calibration.measured)


def build_term(options: Mapping[str, Any]) -> Term:
    """Build the term of a ``train.<name>_opt`` section.

    Raises:
        ValueError: If the loss refuses its options.
        MissingWeightsError: If pretrained features are neither here nor to be had.
    """
    try:
        loss = build(LOSS_REGISTRY, options)
    except OSError as error:
        raise MissingWeightsError(
            f'{options["type"]}: its pretrained features cannot be downloaded ({error}). Put the '
            'file torchvision asks for (vgg19-dcbb9e9d.pth for vgg19) into '
            '~/.cache/torch/hub/checkpoints/, or remove this term.'
        ) from error
    return loss if isinstance(loss, Term) else ReferenceTerm(loss)
