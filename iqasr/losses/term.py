"""A term of the objective: a loss, called with what it looks at of a batch."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from iqasr.losses.calibration import GradientRatio
from iqasr.losses.pretrained_features import fetch_features, missing_features
from iqasr.registry import LOSS_REGISTRY, build, lookup
from iqasr.runtime.errors import MissingWeightsError


class Negative(NamedTuple):
    """Versions of a batch of images that people judged worse."""

    image: Tensor
    """:math:`(N, 3, H, W)` RGB in [0, 1]."""

    weight: Tensor
    """Where the version is worse, :math:`(N, 1, H, W)`, >= 0; 0 for an image that has none."""


@dataclass(frozen=True)
class Batch:
    """A batch as the terms see it.

    All images are :math:`(N, 3, H, W)` RGB float32; the low-quality input is smaller by the scale.
    """

    lq: Tensor
    """Low-quality input, in [0, 1]."""

    gt: Tensor
    """Ground truth chosen for each sample, in [0, 1]."""

    output: Tensor
    """The network's output for `lq`; not clamped, carries the gradient."""

    generator: torch.Generator | None = None
    """CPU generator, seeded by the place of the batch in the training stream."""

    iteration: int = 1
    """Number of the iteration, from 1."""

    base: Tensor | None = None
    """Output for `lq` of the network as it was before this run; without gradient; if needed."""

    average: Tensor | None = None
    """Output for `lq` of the averaged network; without gradient; if needed."""

    negative: Negative | None = None
    """Versions that people judged worse; if needed."""

    sharpened: Tensor | None = None
    """The sharpened ground truth; if needed."""


INPUTS = ('lq', 'generator', 'iteration', 'base', 'average', 'negative')
"""Fields of `Batch` that a loss may take beside output and ground truth."""


class Term(nn.Module):
    """One addend of the objective, around any loss.

    A loss is a module whose ``forward(output, gt, ...)`` returns a scalar to minimise, already
    weighted, or a tuple of scalars, which are added, None left out (BasicSR's ``PerceptualLoss``).
    It gets the arguments in `INPUTS` by name. If its second argument is one of these, or is called
    ``weight`` (BasicSR's ``WeightedTVLoss``), it gets no ground truth.

    A loss may further define:

    - ``check_size(side)``: raise ValueError for output crops of a side in pixels that it cannot
      work on.
    - ``check_start(output, gt)``: look at what the network makes before the first iteration; return
      what to log, or raise ValueError where there is nothing to learn.
    - ``notes``: scalars of the last call to log, detached; ``q`` of a term ``x`` becomes ``q_x``.
    - ``is_pushed``: whether ``q`` is a score that is to rise; a run warns where it falls.
    - ``calibration``: a `GradientRatio`, if its weight is found from the gradients of the other
      terms; and ``calibrate(others, output, gt, ...)``, called before ``forward`` with the sum of
      the terms of given weight, then the arguments of ``forward``.

    Args:
        loss: The loss.

    Attributes:
        inputs: Names of the fields of `Batch` that the loss takes beside output and ground truth.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss
        self.compares, self.inputs = _inspect_inputs(loss.forward)
        self.calibration: GradientRatio | None = getattr(loss, 'calibration', None)

    @property
    def notes(self) -> Mapping[str, Tensor]:
        """Scalars of the last call to log."""
        return getattr(self.loss, 'notes', {})

    def check_size(self, side: int) -> None:
        """Refuse output crops (side in pixels) that the loss cannot work on.

        Raises:
            ValueError: If it cannot.
        """
        if hasattr(self.loss, 'check_size'):
            self.loss.check_size(side)

    def check_start(self, output: Tensor, gt: Tensor) -> str:
        """Say what the loss finds in the output of the untrained network; empty for nothing.

        Raises:
            ValueError: If it cannot learn from there.
        """
        return self.loss.check_start(output, gt) if hasattr(self.loss, 'check_start') else ''

    def calibrate(self, others: Tensor, batch: Batch) -> None:
        """Adapt the weight to the sum of the terms whose weight is given."""
        self._call(self.loss.calibrate, batch, others)

    def forward(self, batch: Batch) -> Tensor:
        """Evaluate the loss."""
        return summed(self._call(self.loss, batch))

    def _call(self, function: Callable, batch: Batch, *first: Tensor) -> Any:
        images = (batch.output, batch.gt) if self.compares else (batch.output,)
        return function(*first, *images, **{name: getattr(batch, name) for name in self.inputs})


def _inspect_inputs(forward: Callable, skip: int = 1) -> tuple[bool, tuple[str, ...]]:
    """Tell whether a loss takes the ground truth, and its `INPUTS`, beyond the first arguments."""
    arguments = list(inspect.signature(forward).parameters.values())[skip:]
    inputs = tuple(argument.name for argument in arguments if argument.name in INPUTS)
    return bool(arguments) and arguments[0].name not in (*INPUTS, 'weight'), inputs


def summed(result: Tensor | tuple[Tensor | None, ...]) -> Tensor:
    """Add the results of a loss that returns several."""
    if isinstance(result, tuple):
        return sum(part for part in result if part is not None)
    return result


def require_input(loss: nn.Module, name: str, value: Any, meaning: str) -> None:
    """Refuse to evaluate a loss without one of its inputs.

    Raises:
        ValueError: If the value is None.
    """
    if value is None:
        raise ValueError(
            f'{type(loss).__name__} needs {name}=..., {meaning}. RestorationModel gives it; '
            'elsewhere, pass it.'
        )


def build_term(section: Mapping[str, Any]) -> Term:
    """Build the term of a ``train.<name>_opt`` section: ``type`` and arguments of its loss.

    Raises:
        ValueError: If the loss is unknown or refuses its options.
        MissingWeightsError: If pretrained features are neither here nor can be downloaded.
    """
    fetch_features(section)
    try:
        return Term(build(LOSS_REGISTRY, section))
    except OSError as error:
        path = missing_features(section)
        remedy = f'Put {path.name} into {path.parent}, or remove' if path else 'Remove'
        raise MissingWeightsError(
            f'{section["type"]}: its pretrained features cannot be had ({error}). {remedy} this '
            'term.'
        ) from error


def term_inputs(section: Mapping[str, Any]) -> tuple[str, ...]:
    """List the `Term.inputs` of a ``train.<name>_opt`` section; none of an unknown ``type``."""
    try:
        loss = lookup(LOSS_REGISTRY, section.get('type'))
    except ValueError:
        return ()
    return _inspect_inputs(loss.forward, skip=2)[1] if hasattr(loss, 'forward') else ()
