"""The objective: the sum of named terms, each already weighted, each logged."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace

from torch import Tensor, nn

from iqasr.losses.calibration import GradientRatio
from iqasr.losses.shared_features import share_features
from iqasr.losses.term import Batch, Term
from iqasr.registry import VALUE_ERRORS, is_of_its_own_kind
from iqasr.runtime.errors import OptionError

logger = logging.getLogger('iqasr')


class Objective(nn.Module):
    """The sum of its terms, whose perceptual losses share features, see `share_features`.

    Args:
        terms: Losses or `Term`s by name; ``x`` comes from ``train.x_opt`` and is logged as ``l_x``.
        sharpened: Names of the terms that take `Batch.sharpened` for the ground truth.
        given: Names of the scalars that every call will be given (``gan``).

    Raises:
        ValueError: If every weight is to be found from the gradients of other terms.
    """

    def __init__(
        self,
        terms: Mapping[str, nn.Module],
        sharpened: Collection[str] = (),
        given: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.sharpened = sharpened
        wrapped = {name: t if isinstance(t, Term) else Term(t) for name, t in terms.items()}
        self.terms = nn.ModuleDict(wrapped)
        self.features = share_features(self.terms)
        self.evaluated: set[str] = set()
        if terms and not given and all(term.calibration for term in wrapped.values()):
            raise ValueError('gradient_ratio: there is no term to compare with; give loss_weight.')

    def needs(self, name: str) -> bool:
        """Tell whether any term takes a field of `Batch`, such as ``base``."""
        return any(name in term.inputs for term in self.terms.values())

    def pushed_scores(self) -> list[str]:
        """List the terms whose note ``q`` is a score that training is to raise."""
        return [name for name, t in self.terms.items() if getattr(t.loss, 'is_pushed', False)]

    def check_start(self, output: Tensor, gt: Tensor) -> None:
        """Let every term look at what the network makes before the first iteration, and log it.

        It draws nothing, and changes no weight or gradient. All processes call it.

        Args:
            output: What the network makes, :math:`(N, 3, H, W)`.
            gt: Ground truth, alike.

        Raises:
            OptionError: If a term cannot learn from there; in all processes.
        """
        for name, term in self.terms.items():
            try:
                found = term.check_start(output.detach(), gt)
            except ValueError as error:
                raise OptionError(f'train.{name}_opt: {error}') from error
            if found:
                logger.info('l_%s: %s.', name, found)

    def forward(
        self, batch: Batch, given: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Evaluate every term.

        Args:
            batch: Everything the terms look at.
            given: Weighted scalars by name that are computed elsewhere (``gan``). They come first
                in the sum and in the log, and count where a weight is found from other terms.

        Returns:
            The sum, and the detached value of each term under its logged name.
        """
        seen = dict.fromkeys(self.terms, batch)
        seen |= {n: replace(batch, gt=batch.sharpened) for n in self.sharpened if n in seen}
        calibrated = self.calibrations()
        values = dict(given or {})
        values |= {n: self.evaluate(n, seen[n]) for n in self.terms if n not in calibrated}
        others = sum(values.values())
        for name in calibrated:
            self.terms[name].calibrate(others, seen[name])
            values[name] = self.evaluate(name, seen[name])
        log = {f'l_{name}': value.detach() for name, value in values.items()}
        for name, term in self.terms.items():
            log |= {f'{note}_{name}': value for note, value in term.notes.items()}
        self.features.clear()
        return sum(values.values()), log

    def evaluate(self, name: str, batch: Batch) -> Tensor:
        """Evaluate a term.

        Raises:
            OptionError: If it fails the first time, which its options or the data explain, or does
                not give a scalar.
        """
        if name in self.evaluated:
            return self.terms[name](batch)
        try:
            value = self.terms[name](batch)
        except VALUE_ERRORS as error:
            if is_of_its_own_kind(error):
                raise
            raise OptionError(
                f'train.{name}_opt: fails in the first step ({type(error).__name__}: {error}).'
            ) from error
        if not isinstance(value, Tensor) or value.numel() != 1:
            found = tuple(value.shape) if isinstance(value, Tensor) else value
            raise OptionError(
                f'train.{name}_opt: gives {found} instead of one number to minimise. Use '
                '`reduction: mean`, and a weight above 0.'
            )
        self.evaluated.add(name)
        return value

    def calibrations(self) -> dict[str, GradientRatio]:
        """How weights are found, by name of the term."""
        return {n: term.calibration for n, term in self.terms.items() if term.calibration}

    def calibration_state(self) -> dict[str, Tensor]:
        """The measurements by which weights are found, by name of the term; on the CPU."""
        return {n: calibration.measured.cpu() for n, calibration in self.calibrations().items()}

    def load_calibration_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from `calibration_state`; a term it does not know starts measuring."""
        for name, calibration in self.calibrations().items():
            calibration.load(state.get(name, calibration.measured))
