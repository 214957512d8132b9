"""JPEG compression of a batch, each image at its own quality.

Two ways with slightly different results. The codec (libjpeg) takes whole-numbered quality and
quantisation tables, rounds its input to 8 bits and interpolates the chroma; BasicSR's DiffJPEG
does none of this, but runs on any device.

Source:
    BasicSR 1.4.2, basicsr/utils/diffjpeg.py (after https://github.com/mlomnitz/DiffJPEG).
    Deviations: sides that are no multiple of 16 are padded by their last pixels, as encoders do,
    not by black; the quality is converted on the CPU, so that no device is waited for; quality 100
    hardly quantises, instead of dividing by 0.
"""

import copy
import functools
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from basicsr.utils.diffjpeg import DiffJPEG
from torch import Tensor

from iqasr.degradation.base import from_uint8, to_uint8

BLOCK = 16
"""Side of a minimum coded unit with halved chroma, in pixels."""


def jpeg(
    image: Tensor, quality: Tensor, method: Literal['auto', 'codec', 'diff'] = 'auto'
) -> Tensor:
    """Compress and decompress.

    Args:
        image: :math:`(N, 3, H, W)`, RGB float32, clamped to [0, 1].
        quality: JPEG quality of each image, :math:`(N,)`, in [1, 100], CPU; not modified.
        method: ``codec`` (on a device this waits for it), ``diff``, or ``auto``: ``codec`` on
            the CPU and ``diff`` elsewhere.

    Returns:
        The same shape and device, [0, 1].
    """
    if method == 'auto':
        method = 'codec' if image.device.type == 'cpu' else 'diff'
    return (codec_jpeg if method == 'codec' else diff_jpeg)(image, quality)


def codec_jpeg(image: Tensor, quality: Tensor) -> Tensor:
    """Compress by libjpeg; see `jpeg`."""
    bgr = to_uint8(image).flip(1).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    levels = quality.round().int().tolist()
    encoded = (
        cv2.imencode('.jpg', one, [cv2.IMWRITE_JPEG_QUALITY, level])[1]
        for one, level in zip(bgr, levels, strict=True)
    )
    decoded = np.stack([cv2.imdecode(one, cv2.IMREAD_COLOR) for one in encoded])
    return from_uint8(torch.from_numpy(decoded).to(image.device).permute(0, 3, 1, 2).flip(1))


def diff_jpeg(image: Tensor, quality: Tensor) -> Tensor:
    """Compress by arithmetic on the image's device; see `jpeg`."""
    height, width = image.shape[-2:]
    margins = (0, -width % BLOCK, 0, -height % BLOCK)
    padded = F.pad(image.clamp(0, 1), margins, mode='replicate')
    # Above 0, as the coefficients are divided by it; 0 at quality 100.
    factor = (torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100).clamp(min=1e-4)
    factor = factor.to(image.dtype).to(image.device, non_blocking=True)
    transform = diff_jpeg_on(image.device)
    coefficients = transform.compress(padded, factor=factor)
    restored = transform.decompress(*coefficients, *padded.shape[-2:], factor=factor)
    return restored[..., :height, :width]


@functools.cache
def diff_jpeg_on(device: torch.device) -> DiffJPEG:
    """Make the transform of a device, once."""
    # a copy, because all of BasicSR's instances share two tables: moving one would move them all
    return copy.deepcopy(DiffJPEG(differentiable=False)).requires_grad_(False).to(device)
