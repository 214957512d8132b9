"""Pairs of ground truth and low-quality input from two raw stores."""

import random  # noqa: TID251 - the draws of BasicSR, which `PlacedDataset` seeds
from typing import Any

import torch
from torch.utils.data import Dataset

from iqasr.data.files.crop import Crop
from iqasr.data.stores.raw_reader import open_raw
from iqasr.options.opt import accepts_opt


@accepts_opt
class RawPairs(Dataset):
    """Reads what BasicSR's ``PairedImageDataset`` reads, crop by crop, but decodes nothing.

    Args:
        dataroot_gt: Raw store of the ground truths.
        dataroot_lq: Raw store of the low-quality inputs.
        scale: Up-sampling factor.
        gt_size: Side of the training crops of the ground truth, in pixels; None for whole images.
        filename_tmpl: Key of a low-quality input made from that of its ground truth.
        use_hflip: Mirror training crops left to right at random.
        use_rot: Mirror them upside down and transpose them at random.
    """

    def __init__(
        self,
        dataroot_gt: str,
        dataroot_lq: str,
        *,
        scale: int,
        gt_size: int | None = None,
        filename_tmpl: str = '{}',
        use_hflip: bool = False,
        use_rot: bool = False,
    ) -> None:
        self.gt, self.lq = open_raw(dataroot_gt)[0], open_raw(dataroot_lq)[0]
        self.keys = [(key, filename_tmpl.format(key)) for key in sorted(self.gt.images)]
        self.scale = scale
        self.gt_size = gt_size
        self.use_hflip = use_hflip
        self.use_rot = use_rot

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Read a pair.

        Returns:
            ``gt``, ``lq``: :math:`(3, H, W)` RGB, whole images float32 in [0, 1], training crops
            uint8, since converting them here would take longer than reading them.
            ``gt_path``, ``lq_path``: their keys.
        """
        gt_key, lq_key = self.keys[index]
        paths = {'gt_path': gt_key, 'lq_path': lq_key}
        gt, lq = self.gt.image(gt_key), self.lq.image(lq_key)
        if self.gt_size is None:
            gt = gt[: lq.shape[0] * self.scale, : lq.shape[1] * self.scale]
            whole = {'gt': gt.transpose(2, 0, 1), 'lq': lq.transpose(2, 0, 1)}
            return {name: torch.tensor(image) / 255 for name, image in whole.items()} | paths
        size = self.gt_size // self.scale
        top = random.randint(0, lq.shape[0] - size)
        left = random.randint(0, lq.shape[1] - size)
        turns = (
            self.use_hflip and random.random() < 0.5,
            self.use_rot and random.random() < 0.5,
            self.use_rot and random.random() < 0.5,
        )
        gt_crop = Crop(top * self.scale, left * self.scale, size * self.scale, *turns)
        return {'gt': gt_crop.cut(gt), 'lq': Crop(top, left, size, *turns).cut(lq)} | paths
