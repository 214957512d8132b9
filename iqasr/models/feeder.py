"""From a batch of the loader to low-quality inputs and ground truths."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from basicsr.utils.img_process_util import USMSharp
from torch import Tensor

from iqasr.checking.terms import needs
from iqasr.degradation import Degradation, PairPool, from_uint8
from iqasr.losses import negative_map
from iqasr.models.choice import GTChoice
from iqasr.options.sections import Options
from iqasr.registry import DEGRADATION_REGISTRY, build
from iqasr.runtime.distributed import Process
from iqasr.runtime.randomness import generator_at

logger = logging.getLogger('iqasr')


@dataclass(frozen=True)
class Fed:
    """A batch on the device; its fields are those of `iqasr.losses.Batch`."""

    lq: Tensor
    gt: Tensor
    negative: Tensor | None = None
    negative_map: Tensor | None = None
    sharpened: Tensor | None = None


class Feeder:
    """Chooses ground truths, degrades originals, mixes pairs and sharpens, on the device.

    Sharpening is Real-ESRGAN's unsharp mask, as BasicSR implements it.

    Args:
        options: The checked option file.
        process: This process and its device.
        seed: Seed of the run.
        choice: Chooses the ground truth of multi-GT samples; None for paired data.
    """

    def __init__(
        self, options: Options, process: Process, seed: int, choice: GTChoice | None
    ) -> None:
        self.options = options
        self.process = process
        self.seed = seed
        self.choice = choice
        self.usm = USMSharp().to(process.device)
        self.degradation: Degradation | None = None
        self.pool: PairPool | None = None
        if options.degradation is not None:
            self.degradation = build(DEGRADATION_REGISTRY, options.degradation, scale=options.scale)
            self.pool = PairPool(options.queue_size) if options.queue_size else None

    def __call__(self, data: Mapping[str, Any], place: int) -> tuple[Fed, dict[str, Tensor]]:
        """Feed one batch.

        Args:
            data: A batch of paired data (``lq``, ``gt``) or of `MultiGTDataset`.
            place: Position of the batch in the training stream.

        Returns:
            The batch, images RGB in [0, 1], and values to log.
        """
        fed, log = self.prepare(data, place)
        if set(self.options.sharpen) - {'original', 'degraded'}:
            fed = replace(fed, sharpened=self.usm(fed.gt))
        return fed, log

    def prepare(self, data: Mapping[str, Any], place: int) -> tuple[Fed, dict[str, Tensor]]:
        """Feed one batch, of which nothing but the original, or what is degraded, is sharpened."""
        device, scale = self.process.device, self.options.scale
        if self.degradation is None:
            lq, gt = (data[key].to(device, non_blocking=True) for key in ('lq', 'gt'))
            return Fed(*(from_uint8(i) if i.dtype == torch.uint8 else i for i in (lq, gt))), {}
        generator = generator_at(self.seed, 'degrade', place, self.process.rank)
        gt, log = self.choice(data, generator, device)
        original = from_uint8(data['original'].to(device, non_blocking=True))
        if 'original' in self.options.sharpen:  # which is the ground truth, too
            original = self.usm(original)
        source = self.usm(original) if 'degraded' in self.options.sharpen else original
        degraded = self.degradation(source, generator)
        lq = crop_at(degraded, data['offset'] // scale, gt.shape[-1] // scale)
        gt = from_uint8(gt)
        if 'original' in self.options.sharpen:
            gt = crop_at(original, data['offset'], gt.shape[-1])
        if 'negative' in data:
            judged = {k: v.to(device, non_blocking=True) for k, v in data['negative'].items()}
            images = from_uint8(torch.cat([judged['image'], judged['positive']], 1))
            agreement = judged['agreement'][..., None, None].expand(-1, -1, *gt.shape[2:])
            own = crop_at(original, data['offset'], gt.shape[-1])
            gt = torch.cat([gt, own, images, agreement], 1)
        if self.pool is not None:
            lq, gt = self.pool.exchange(lq, gt, generator)
        return self.with_negatives(lq, gt), log

    def with_negatives(self, lq: Tensor, stack: Tensor) -> Fed:
        """Take a ground truth apart that carries its negative along; see `MultiGTDataset`."""
        if stack.shape[1] == 3:
            return Fed(lq, stack)
        gt, original, negative, positive, agreement = stack.split((3, 3, 3, 3, 2), 1)
        where = negative_map(original, negative, positive, agreement[:, :1], agreement[:, 1:])
        return Fed(lq, gt, negative, where)

    def agreement(self) -> list[int]:
        """What a pool must agree on to be continued: its size, batch, crop, processes."""
        data = self.options.datasets['train']
        sizes = [self.options.queue_size, data.get('batch_size_per_gpu', 1), data.get('gt_size', 0)]
        terms = self.options.train.terms.values()
        negatives = [True] if any(needs(section, 'negative') for section in terms) else []
        return [*sizes, self.process.world_size, *negatives]

    def state_dict(self) -> dict[str, Any]:
        """The pair pools of all processes."""
        pool = self.pool.state_dict() if self.pool is not None else None
        return {'agreement': self.agreement(), 'pools': self.process.gather(pool)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the pair pool, or say why it starts empty."""
        if self.pool is None:
            return
        if state['agreement'] == self.agreement():
            self.pool.load_state_dict(state['pools'][self.process.rank])
        else:
            logger.warning('The pair pool starts empty: batch, crop or processes have changed.')


def crop_at(image: Tensor, corner: Tensor, size: int) -> Tensor:
    """Crop every image of a batch at its own place.

    Args:
        image: :math:`(N, C, H, W)`.
        corner: :math:`(N, 2)` top and left, on the CPU.
        size: Side of the crops.

    Returns:
        :math:`(N, C, size, size)`.
    """
    corners = corner.tolist()
    crops = [i[:, y : y + size, x : x + size] for i, (y, x) in zip(image, corners, strict=True)]
    return torch.stack(crops)
