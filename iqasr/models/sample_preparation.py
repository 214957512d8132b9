"""From a batch of the loader to low-quality inputs and ground truths, on the device."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from basicsr.utils.img_process_util import USMSharp
from torch import Tensor

from iqasr.degradation import Degradation, PairPool, from_uint8
from iqasr.losses import Negative, negative_of
from iqasr.models.choice import GTChoice, build_choice
from iqasr.registry import DEGRADATION_REGISTRY, build
from iqasr.runtime.distributed import Process
from iqasr.runtime.randomness import generator_at

logger = logging.getLogger('iqasr')


@dataclass(frozen=True)
class Pairs:
    """Inputs and ground truths of a batch, RGB in [0, 1]; fields of `iqasr.losses.Batch`."""

    lq: Tensor
    """:math:`(N, 3, H, W)`."""
    gt: Tensor | list[Tensor] | None
    """:math:`(N, 3, sH, sW)`; test sets may have several, or none."""
    negative: Negative | None = None


class SamplePreparation:
    """Chooses ground truths, degrades originals, mixes pairs and sharpens.

    Sharpening is Real-ESRGAN's unsharp mask, as BasicSR implements it.

    Args:
        section: Section of the training set; of a `MultiGTDataset`, ``sampling``, ``quality``,
            ``degradation``, ``queue_size`` are used.
        scale: Up-sampling factor.
        sharpen: Option of that name.
        process: This process and its device.
        seed: Seed of the run.
    """

    def __init__(
        self,
        section: Mapping[str, Any],
        *,
        scale: int,
        sharpen: list[str],
        process: Process,
        seed: int,
    ) -> None:
        self.section, self.scale, self.sharpen = section, scale, sharpen
        self.process, self.seed = process, seed
        self.usm = USMSharp().to(process.device)
        self.choice: GTChoice | None = None
        self.degradation: Degradation | None = None
        self.pool: PairPool | None = None
        if section.get('degradation') is not None:
            self.choice = build_choice(section, process.device)
            self.degradation = build(DEGRADATION_REGISTRY, section['degradation'], scale=scale)
            size = section.get('queue_size', 0)
            self.pool = PairPool(size) if size else None

    def __call__(self, data: Mapping[str, Any], place: int) -> tuple[Pairs, dict[str, Tensor]]:
        """Prepare a batch.

        Args:
            data: A batch of paired data (``lq``, and ``gt`` if there is one), or of
                `MultiGTDataset`.
            place: Position of the batch in the training stream.

        Returns:
            The pairs, and values to log.
        """
        if 'original' in data:
            return self.make_pairs(data, place)
        gt = data.get('gt')
        images = gt if isinstance(gt, list) else [gt]
        found = [None if image is None else self.on_device(image) for image in images]
        return Pairs(self.on_device(data['lq']), found if isinstance(gt, list) else found[0]), {}

    def sharpen_gt(self, pairs: Pairs) -> Tensor | None:
        """Sharpen the ground truths for the terms that ask for it; None if none does."""
        return self.usm(pairs.gt) if set(self.sharpen) - {'original', 'degraded'} else None

    def on_device(self, image: Tensor) -> Tensor:
        """Bring images to the device, as float in [0, 1]."""
        image = image.to(self.process.device, non_blocking=True)
        return from_uint8(image) if image.dtype == torch.uint8 else image

    def make_pairs(self, data: Mapping[str, Any], place: int) -> tuple[Pairs, dict[str, Tensor]]:
        """Choose the ground truths of a batch of `MultiGTDataset` and degrade its originals."""
        generator = generator_at(self.seed, 'degrade', place, self.process.rank)
        gt, log = self.choice(data, generator, self.process.device)
        gt, corner, side = self.on_device(gt), data['offset'], gt.shape[-1]
        original = self.on_device(data['original'])
        if 'original' in self.sharpen:  # which is the ground truth, too
            original = self.usm(original)
            gt = crop_at(original, corner, side)
        source = self.usm(original) if 'degraded' in self.sharpen else original
        lq = crop_at(self.degradation(source, generator), corner // self.scale, side // self.scale)
        batch = {'lq': lq, 'gt': gt}
        if 'negative' in data:
            negative = negative_of(data['negative'], crop_at(original, corner, side))
            batch |= {'negative': negative.image, 'negative_weight': negative.weight}
        if self.pool is not None:
            batch = self.pool.exchange(batch, generator)
        negative = None
        if 'negative' in batch:
            negative = Negative(batch['negative'], batch['negative_weight'])
        return Pairs(batch['lq'], batch['gt'], negative), log

    def pool_key(self) -> list[Any]:
        """List the sizes that must stay the same for a pool to be continued."""
        data = self.section
        sizes = [data.get('queue_size', 0), data.get('batch_size_per_gpu', 1), data['gt_size']]
        return [*sizes, self.process.world_size, *(['negative'] if data.get('negatives') else [])]

    def state_dict(self) -> dict[str, Any]:
        """Return the pair pools of all processes."""
        if self.pool is None:
            return {'agreement': [], 'pools': []}
        pools = self.process.gather(self.pool.state_dict())
        return {'agreement': self.pool_key(), 'pools': pools}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the pair pool, or say why it starts empty."""
        if self.pool is None:
            return
        if state['agreement'] == self.pool_key():
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
