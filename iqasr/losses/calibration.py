"""The weight of a term, found from its gradient and that of the other terms.

Source:
    Esser et al. (2021), Taming transformers for high-resolution image synthesis, eq. 7, balances
    two gradients by the ratio of their norms at every step. Deviations: the gradients are those to
    the output image, and the ratio is measured at the start only, so that the objective is fixed.
"""

import math

import torch
from torch import Tensor

from iqasr.runtime.distributed import mean_over_processes


class GradientRatio:
    """Finds a weight by comparing the gradients of a term and of the others, then fixes it.

    Args:
        ratio: Norm of the weighted term's gradient to the output, relative to the others'; > 0.
        measurements: How many batches the median is taken over.
    """

    def __init__(self, ratio: float, measurements: int) -> None:
        self.ratio = ratio
        self.measurements = measurements
        self.measured = torch.empty(0)
        """The others' norm over the term's, one number per batch so far, on the CPU."""

    @property
    def finished(self) -> bool:
        """Whether the weight is fixed from now on."""
        return len(self.measured) >= self.measurements

    def weight(self) -> float:
        """The weight by the measurements so far; 0 if there is no finite one."""
        weight = self.ratio * self.measured.nanmedian().item()
        return weight if math.isfinite(weight) else 0.0

    def measure(self, value: Tensor, others: Tensor, output: Tensor) -> None:
        """Compare two gradients; all processes agree on their mean.

        Args:
            value: The unweighted term, a scalar.
            others: The sum of the other terms, a scalar.
            output: The network's output, on which both depend.

        Raises:
            ValueError: If the last measurement leaves no usable weight.
        """
        norms = [
            torch.autograd.grad(scalar, output, retain_graph=True)[0].norm()
            for scalar in (others, value)
        ]
        measured = mean_over_processes(norms[0] / norms[1])
        self.measured = torch.cat([self.measured, measured[None].cpu()])
        if self.finished and self.weight() == 0:
            raise ValueError(
                'gradient_ratio: no weight can be found, since the gradient of the other terms, '
                'or of this one, is zero at the output. Give loss_weight instead.'
            )
