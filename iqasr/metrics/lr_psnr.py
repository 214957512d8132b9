"""LR-consistency: whether an output, reduced again, equals the input it was made from."""

import numpy as np
import torch
from basicsr.metrics import calculate_psnr

from iqasr.degradation import BicubicDegradation
from iqasr.metrics.metric import register_metric, without_border


@register_metric(lower_better=False)
def calculate_lr_psnr(img: np.ndarray, lq: np.ndarray, crop_border: int = 0) -> float:
    """PSNR in dB of the output, reduced by `BicubicDegradation`, to the input.

    For inputs that were made otherwise (blurred, noisy) the value says less than its change.

    Args:
        img: Output, ``(sH, sW, 3)`` uint8 BGR in [0, 255].
        lq: Input, ``(H, W, 3)`` uint8 BGR in [0, 255].
        crop_border: Pixels of the input left out at each side.
    """
    reduction = BicubicDegradation(scale=img.shape[0] // lq.shape[0])
    tensor = torch.from_numpy(img.transpose(2, 0, 1).astype(np.float32))[None]
    # Not rounded, as two equal 8-bit images would be infinitely close.
    reduced = reduction.degrade(tensor, lq.shape[:2], torch.Generator()).clamp(0, 255)
    images = reduced[0].permute(1, 2, 0).numpy(), lq
    return calculate_psnr(*(without_border(image, crop_border) for image in images), crop_border=0)
