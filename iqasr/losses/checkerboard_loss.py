"""A loss against the checkerboard patterns that up-sampling layers draw."""

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from iqasr.registry import LOSS_REGISTRY

PERCENT = 100
LEAST_SQUARE = 1e-12
"""Keeps the gradient of a root finite where there is no pattern."""


@LOSS_REGISTRY.register()
class CheckerboardLoss(nn.Module):
    """How much an output depends on the place within the up-sampling period.

    Sub-pixel convolutions and nearest-neighbour enlargement can draw the same dots or steps at
    every input pixel, where the ground truth treats all places alike. Losses on features reward
    that: a pattern looks like texture to them. This adds

    - *dots*: the standard deviation, over the places within a period, of the mean error, in percent
      of the range;
    - *steps*: the relative standard deviation, over the same, of the mean absolute difference of
      neighbours, along and across.

    A deviation of means over the whole batch is smaller than the mean of those of its parts: one
    batch of eight had 0.11 where eight of one, accumulated or in as many processes, had 0.30.

    Source:
        Odena et al. (2016), Deconvolution and checkerboard artifacts, describe the patterns. The
        loss was written here.

    Args:
        period: Pixels from one dot to the next: the up-sampling factor.
        loss_weight: Weight; 0 switches the term off.
    """

    def __init__(self, *, period: PositiveInt, loss_weight: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        self.period, self.loss_weight = period, loss_weight

    def check_size(self, side: int) -> None:
        """Refuse crops, of a side in pixels, that do not hold whole periods.

        Raises:
            ValueError: If they do not.
        """
        if side % self.period:
            raise ValueError(f'period: gt_size, {side}, is no multiple of {self.period}.')

    def forward(self, output: Tensor, gt: Tensor) -> Tensor:
        """Evaluate the loss; output and ground truth are :math:`(N, C, H, W)` in [0, 1]."""
        output, gt = output.float(), gt.float()
        dots = self.by_place(self.by_place(output - gt).mT).mean(0)
        loss = PERCENT * spread(dots, (1, 2))
        for image in (output, output.mT):
            steps = self.by_place(image.diff().abs()).mean((0, 1, 2))
            loss = loss + spread(steps, 0) / (steps.mean() + LEAST_SQUARE)
        return self.loss_weight * loss

    def by_place(self, image: Tensor) -> Tensor:
        """Average rows over the periods: the last dimension becomes the place within one."""
        whole = image.shape[-1] // self.period * self.period
        return image[..., :whole].unflatten(-1, (-1, self.period)).mean(-2)


def spread(values: Tensor, dims: int | tuple[int, ...]) -> Tensor:
    """Standard deviation over some dimensions, averaged over the others."""
    return (torch.var(values, dims, correction=0) + LEAST_SQUARE).sqrt().mean()
