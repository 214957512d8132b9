"""The weight of a term, found from its gradient and that of the other terms.

Source:
    Esser et al. (2021), Taming transformers for high-resolution image synthesis, eq. 7, balances
    two gradients by the ratio of their norms at every step. Deviations: the gradients are those to
    the output image; the ratio is a median over many batches, so that the objective changes slowly;
    and the weight is bounded.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from iqasr.runtime.distributed import mean_over_processes

LARGEST_RISE = 10.0
"""Most that a weight rises above its first value: a gradient that vanishes must not be amplified
into an attack on the score."""


class GradientRatio:
    """Finds a weight by comparing the gradients of a term and of the others, and follows them.

    Args:
        ratio: Norm of the weighted term's gradient to the output, relative to the others'; > 0.
        measurements: How many batches the median is taken over: the first ones, then the last ones.
        every: After the first ones, measure in one iteration of so many; 0 for never.
    """

    def __init__(self, ratio: float, measurements: int, every: int = 0) -> None:
        self.ratio, self.measurements, self.every = ratio, measurements, every
        self.load(torch.empty(0))

    def load(self, measured: Tensor) -> None:
        """Continue from the `measured` of an earlier run."""
        self._update(measured)
        self.was_limited = False

    def _update(self, measured: Tensor) -> None:
        self.measured = measured
        """The others' norm over the term's, one number for each measured batch; on the device."""
        parts = measured[: self.measurements], measured[-self.measurements :]
        first, last = (self.ratio * median_of(part.double()) for part in parts)
        self.limit = LARGEST_RISE * first if self.is_found else torch.full_like(first, math.inf)
        self.weight = last.minimum(self.limit).nan_to_num(0, 0, 0)
        """The weight by the measurements so far, a float64 scalar; 0 if there is no finite one."""

    @property
    def is_found(self) -> bool:
        """Whether the first measurements are complete."""
        return len(self.measured) >= self.measurements

    def is_due(self, iteration: int) -> bool:
        """Tell whether to measure in an iteration, from 1."""
        return not self.is_found or (self.every > 0 and iteration % self.every == 0)

    def measure(self, value: Tensor, others: Tensor, output: Tensor) -> None:
        """Compare two gradients; all processes agree on their mean.

        The last of the first measurements waits for the device, no other.

        Args:
            value: The unweighted term, a scalar.
            others: The sum of the other terms, a scalar.
            output: The network's output, on which both depend.

        Raises:
            ValueError: If the last of the first measurements leaves no usable weight.
        """
        norms = [
            torch.autograd.grad(scalar, output, retain_graph=True)[0].norm()
            for scalar in (others, value)
        ]
        measured = mean_over_processes(norms[0] / norms[1])
        earlier = self.measured.to(measured.device, non_blocking=True)
        self._update(torch.cat([earlier, measured[None]]))
        if len(self.measured) == self.measurements and self.weight == 0:
            raise ValueError(
                'gradient_ratio: no weight can be found, since the gradient of the other terms, '
                'or of this one, is zero at the output. Give loss_weight instead.'
            )

    def compare(self) -> str:
        """Compare the weight with its limit (waits for the device).

        Returns:
            What to warn of, once each time the limit is reached; empty for nothing.
        """
        was_limited, self.was_limited = self.was_limited, bool(self.weight == self.limit)
        if was_limited or not self.was_limited:
            return ''
        return (
            'has hardly any gradient left: by gradient_ratio its weight would now be more than '
            f'{LARGEST_RISE:g} times its first value, where it stays. What is still gained need '
            'not be quality: end the run, or use another scorer.'
        )


def median_of(values: Tensor) -> Tensor:
    """Find the lower median of numbers, :math:`(N,)`, NaN left out; NaN if nothing is left.

    Unlike `torch.nanmedian`, this does not wait for a device.
    """
    middle = (values.isnan().logical_not().sum() - 1).clamp(min=0) // 2
    ordered = F.pad(values, (0, 1), value=math.nan).sort().values  # NaN come last
    return ordered.gather(0, middle[None])[0]
