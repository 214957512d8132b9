"""Luma of 8-bit images, for the metrics and scorers that look at nothing else.

Source:
    ITU-R BT.601 in studio range, as in ``basicsr.metrics.metric_util.to_y_channel``.
"""

import cv2
import numpy as np

WEIGHTS_BGR = (24.966, 128.553, 65.481)


def luma_of(image: np.ndarray) -> np.ndarray:
    """Compute the luma, not rounded.

    Args:
        image: ``(H, W, 3)`` uint8 BGR in [0, 255]; or ``(H, W, 1)``, which is its own luma.

    Returns:
        ``(H, W)`` float32 in [16, 235]; of a single channel, in [0, 255] as it is.
    """
    if image.shape[2] == 1:
        return image[..., 0].astype(np.float32)
    levels = (np.arange(256, dtype=np.float32) / 255).astype(np.float64)
    total, green, red = (
        cv2.LUT(channel, levels * weight)
        for channel, weight in zip(cv2.split(image), WEIGHTS_BGR, strict=True)
    )
    for addend in (green, red, 16):
        total += addend
    total /= 255
    # BasicSR's single precision on the way decides how ties are rounded later.
    return total.astype(np.float32) * np.float32(255)
