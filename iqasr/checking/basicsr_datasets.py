"""The options of BasicSR's data sets that are used here, which their constructors do not tell.

Source:
    ``basicsr/data`` of BasicSR 1.4.2: the keys that each class reads from its dict ``opt``.
"""

from typing import Any

from pydantic import PositiveInt

from iqasr.options.sections import Section


class ImageOptions(Section):
    """Options of all of them."""

    dataroot_lq: str
    io_backend: dict[str, Any] | None = None
    mean: list[float] | None = None
    std: list[float] | None = None


class PairOptions(ImageOptions):
    """Options of pairs; ``gt_size`` is required in training."""

    dataroot_gt: str | list[str]
    dataroot_lq: str | list[str]
    filename_tmpl: str | None = None
    gt_size: PositiveInt | None = None
    use_hflip: bool = False
    use_rot: bool = False


class SingleImageOptions(ImageOptions):
    """Options of ``SingleImageDataset``."""

    meta_info_file: str | None = None
    color: str | None = None


class PairedImageOptions(PairOptions, SingleImageOptions):
    """Options of ``PairedImageDataset``."""


class RealESRGANPairedOptions(PairOptions):
    """Options of ``RealESRGANPairedDataset``."""

    meta_info: str | None = None


BASICSR_DATASETS: dict[str, type[Section]] = {
    'PairedImageDataset': PairedImageOptions,
    'SingleImageDataset': SingleImageOptions,
    'RealESRGANPairedDataset': RealESRGANPairedOptions,
}
"""Options by the ``type`` of the data set, beside `LoaderOptions`, ``phase`` and ``scale``."""
