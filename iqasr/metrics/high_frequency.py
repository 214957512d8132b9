"""Amount of fine detail in an image, real or invented."""

import numpy as np
from basicsr.metrics.metric_util import to_y_channel

from iqasr.metrics.metric import register_metric, without_border

HALF_NYQUIST = 0.25
"""Cycles per pixel."""


@register_metric(lower_better=None)
def calculate_high_frequency(img: np.ndarray, crop_border: int = 0) -> float:
    """Share of the luma's spectral energy above half the Nyquist frequency, in [0, 1].

    It rises with detail and with artifacts, so neither direction is better. The spectrum is that
    of the Hann-windowed image without its windowed mean; white noise has 1 - pi / 16.

    Args:
        img: Output, ``(H, W, 3)`` uint8 BGR in [0, 255].
        crop_border: Pixels left out at each side.

    Returns:
        The share; NaN for a constant image.
    """
    luma = to_y_channel(without_border(img, crop_border))[..., 0].astype(np.float64)
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in luma.shape))
    centred = luma - (luma * window).sum() / window.sum()
    energy = np.abs(np.fft.fft2(centred * window)) ** 2
    radius = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, luma.shape), indexing='ij'))
    total = energy.sum() if np.ptp(luma) else np.nan
    return float(energy[radius > HALF_NYQUIST].sum() / total)
