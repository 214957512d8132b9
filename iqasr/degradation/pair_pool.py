"""The training pair pool: batches that mix samples of many earlier batches.

Source:
    Wang et al. (2021), Real-ESRGAN, section 4.1, as implemented in BasicSR 1.4.2
    (basicsr/models/realesrgan_model.py). Deviations: images are stored in 8 bits, a quarter of the
    memory; N distinct random slots are exchanged in place of shuffling the whole storage, which
    gives the same distribution.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from iqasr.degradation.base import from_uint8, to_uint8

IN_8_BITS = ('lq', 'gt', 'negative')
"""Names of the tensors that are stored in 8 bits; others are stored as they are."""


class PairPool:
    """Holds samples (pairs of LQ and ground truth) and exchanges a batch for random earlier ones.

    A degradation draws its resize factors and its type of noise once per batch; exchanging samples
    makes them differ within a batch.

    Args:
        size: Number of samples held; a multiple of the batch size.

    Attributes:
        held: The samples held, tensors of equal length by name; empty at first.

    Raises:
        ValueError: If `size` is not positive.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f'size: {size} is not positive; write a multiple of the batch size.')
        self.size = size
        self.held: dict[str, Tensor] = {}

    @property
    def filled(self) -> int:
        """Number of samples held so far."""
        return len(self.held['lq']) if self.held else 0

    def exchange(
        self, batch: Mapping[str, Tensor], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Put a batch in, and take one out.

        Args:
            batch: Tensors :math:`(N, C, H, W)` by name, on one device. Those of `IN_8_BITS` are
                multiples of 1/255 in [0, 1].
            generator: CPU generator; unused while the pool is filling.

        Returns:
            While the pool is filling, the batch itself; then N samples from distinct random slots,
            which the batch takes over.

        Raises:
            ValueError: If the batch size does not divide the size of the pool, or the tensors
                are not of the names and shapes of those held.
        """
        self._check(batch)
        new = {name: to_uint8(t) if name in IN_8_BITS else t for name, t in batch.items()}
        held = self.held = {name: t.to(new[name].device) for name, t in self.held.items()}
        if self.filled < self.size:
            self.held = {n: torch.cat([held[n], t]) if held else t.clone() for n, t in new.items()}
            return dict(batch)
        slots = torch.randperm(self.size, generator=generator)[: len(batch['lq'])]
        slots = slots.to(batch['lq'].device, non_blocking=True)
        earlier = {name: tensor[slots] for name, tensor in held.items()}
        for name, tensor in held.items():
            tensor[slots] = new[name]
        return {name: from_uint8(t) if name in IN_8_BITS else t for name, t in earlier.items()}

    def state_dict(self) -> dict[str, Tensor]:
        """Copy the samples held, for a checkpoint; returns `held`, on the CPU."""
        return {name: tensor.to('cpu', copy=True) for name, tensor in self.held.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Hold the samples of a checkpoint; a run that is resumed so continues identically.

        Args:
            state: A `state_dict`, on any device; the next exchange moves it to its own.

        Raises:
            ValueError: If it holds more samples than this pool.
        """
        count = len(state.get('lq', ()))
        if count > self.size:
            raise ValueError(
                f'size: the pair pool has {self.size} slots, but the checkpoint holds '
                f'{count} pairs; resume with the size it was trained with.'
            )
        self.held = {name: tensor.clone() for name, tensor in state.items()} if count else {}

    def _check(self, batch: Mapping[str, Tensor]) -> None:
        count, filled = len(batch['lq']), self.filled
        if self.size % count or (self.size - filled) % count:
            raise ValueError(
                f'size: {self.size} pairs in the pool, {filled} of them filled, cannot be '
                f'exchanged in batches of {count}; write a multiple of the batch size.'
            )
        given, held = ({k: tuple(t.shape[1:]) for k, t in d.items()} for d in (batch, self.held))
        if held and held != given:
            raise ValueError(
                f'samples of {given} cannot be exchanged for those in the pair pool, {held}; keep '
                'the crop size and the terms, or start with an empty pool.'
            )
