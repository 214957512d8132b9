"""The training pair pool: batches that mix pairs of many earlier batches.

Source:
    Wang et al. (2021), Real-ESRGAN, section 4.1, as implemented in BasicSR 1.4.2
    (basicsr/models/realesrgan_model.py). Deviations: stored in 8 bits, a quarter of the memory;
    N distinct random slots are exchanged in place of shuffling the whole storage, which gives
    the same distribution.
"""

import torch
from torch import Tensor

from .base import from_uint8, to_uint8


class PairPool:
    """Holds (lq, gt) pairs and exchanges a batch of them for random earlier ones.

    A degradation draws its resize factors and its type of noise once per batch; exchanging pairs
    makes them differ within a batch.

    Args:
        size: Number of pairs held; a multiple of the batch size.

    Raises:
        ValueError: If `size` is not positive.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f'size: {size} is not positive; write a multiple of the batch size.')
        self.size = size
        self.lq = torch.empty(0, dtype=torch.uint8)
        self.gt = torch.empty(0, dtype=torch.uint8)

    def exchange(self, lq: Tensor, gt: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Put a batch in, and take one out.

        Args:
            lq: Low-quality input, :math:`(N, 3, H, W)`, multiples of 1/255 in [0, 1].
            gt: Ground truth, :math:`(N, 3, sH, sW)`, multiples of 1/255 in [0, 1].
            generator: CPU generator; unused while the pool is filling.

        Returns:
            While the pool is filling, the batch itself; then N pairs from distinct random slots,
            which the batch takes over.

        Raises:
            ValueError: If the batch size does not divide the size of the pool, or the images
                are not of the shape of those held.
        """
        self._check(lq, gt)
        self.lq, self.gt = self.lq.to(lq.device), self.gt.to(gt.device)
        if len(self.lq) < self.size:
            self.lq = torch.cat([self.lq, to_uint8(lq)])
            self.gt = torch.cat([self.gt, to_uint8(gt)])
            return lq, gt
        slots = torch.randperm(self.size, generator=generator)[: len(lq)]
        slots = slots.to(lq.device, non_blocking=True)
        earlier = from_uint8(self.lq[slots]), from_uint8(self.gt[slots])
        self.lq[slots], self.gt[slots] = to_uint8(lq), to_uint8(gt)
        return earlier

    def state_dict(self) -> dict[str, Tensor]:
        """Copy the pairs held, for a checkpoint.

        Returns:
            ``lq`` and ``gt``, uint8 on the CPU, as many as the pool holds.
        """
        return {'lq': self.lq.to('cpu', copy=True), 'gt': self.gt.to('cpu', copy=True)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Hold the pairs of a checkpoint; a run that is resumed so continues identically.

        Args:
            state: What `state_dict` gave, on any device; the next exchange moves it to its own.

        Raises:
            ValueError: If it holds more pairs than this pool.
        """
        if len(state['lq']) > self.size:
            raise ValueError(
                f'size: the pair pool has {self.size} slots, but the checkpoint holds '
                f'{len(state["lq"])} pairs; resume with the size it was trained with.'
            )
        self.lq, self.gt = state['lq'].clone(), state['gt'].clone()

    def _check(self, lq: Tensor, gt: Tensor) -> None:
        if self.size % len(lq) or (self.size - len(self.lq)) % len(lq):
            raise ValueError(
                f'size: {self.size} pairs in the pool, {len(self.lq)} of them filled, cannot be '
                f'exchanged in batches of {len(lq)}; write a multiple of the batch size.'
            )
        for name, held, given in (('lq', self.lq, lq), ('gt', self.gt, gt)):
            if len(held) and held.shape[1:] != given.shape[1:]:
                raise ValueError(
                    f'{name}: images of {tuple(given.shape[1:])} cannot be exchanged for those in '
                    f'the pair pool, {tuple(held.shape[1:])}; keep one crop size.'
                )
