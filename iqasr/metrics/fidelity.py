"""PSNR, SSIM and NIQE: the numbers of BasicSR's functions of these names, in less time.

Here an option file that names a function of BasicSR gets the one of this module.

Source:
    Wang et al. (2004), Image quality assessment: from error visibility to structural similarity,
    IEEE Transactions on Image Processing; ``basicsr.metrics.psnr_ssim`` and ``niqe``.
"""

import math
from typing import Literal

import cv2
import numpy as np
from basicsr.metrics.psnr_ssim import calculate_psnr_pt, calculate_ssim_pt

from iqasr.metrics.metric import register_metric, without_border
from iqasr.quality.niqe import BLOCK_PX, niqe
from iqasr.runtime.luma import luma_of

WINDOW_PX, SIGMA_PX, TILE_PX = 11, 1.5, (64, 512)
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

# BasicSR's functions of tensors keep their names; their direction is noted for reports.
calculate_psnr_pt.lower_better = calculate_ssim_pt.lower_better = False


@register_metric(lower_better=False, suffix='iqasr')
def calculate_psnr(
    img: np.ndarray,
    img2: np.ndarray,
    crop_border: int,
    test_y_channel: bool = False,
    input_order: Literal['HWC'] = 'HWC',
) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal images.

    Args:
        img: Output, ``(H, W, 3)`` uint8 BGR in [0, 255].
        img2: Ground truth, as `img`.
        crop_border: Pixels left out at each side.
        test_y_channel: Compare the luma instead of the channels.
        input_order: Order of the axes; for BasicSR's option files.

    Raises:
        ValueError: If the sizes differ.
    """
    img, img2 = prepare(img, img2, crop_border, test_y_channel)
    error = cv2.norm(img, img2, cv2.NORM_L2SQR) / img.size
    return 10 * math.log10(255**2 / error) if error else math.inf


@register_metric(lower_better=False, suffix='iqasr')
def calculate_ssim(
    img: np.ndarray,
    img2: np.ndarray,
    crop_border: int,
    test_y_channel: bool = False,
    input_order: Literal['HWC'] = 'HWC',
) -> float:
    """Structural similarity, at most 1; the mean over the channels.

    Args:
        img: Output, ``(H, W, 3)`` uint8 BGR in [0, 255].
        img2: Ground truth, as `img`.
        crop_border: Pixels left out at each side.
        test_y_channel: Compare the luma instead of the channels.
        input_order: Order of the axes; for BasicSR's option files.

    Raises:
        ValueError: If the sizes differ, or fewer than 11 pixels remain on a side.
    """
    img, img2 = prepare(img, img2, crop_border, test_y_channel)
    height, width, channels = img.shape
    margin = WINDOW_PX - 1
    if min(height, width) <= margin:
        raise ValueError(f'SSIM needs {WINDOW_PX} x {WINDOW_PX} px inside the border.')
    # In tiles, so that the intermediate images of one stay in the processor's cache.
    rows, columns = (
        [slice(start, start + tile + margin) for start in range(0, side - margin, tile)]
        for side, tile in zip((height, width), TILE_PX, strict=True)
    )
    total = sum(
        sum_ssim(img[row, column, channel], img2[row, column, channel])
        for channel in range(channels)
        for row in rows
        for column in columns
    )
    return total / ((height - margin) * (width - margin) * channels)


def sum_ssim(x: np.ndarray, y: np.ndarray) -> float:
    r"""Sum the SSIM over all places where the window fits into two ``(H, W)`` images.

    It follows from means and variances of :math:`s = x + y` and :math:`d = x - y`, by four filters
    instead of five: :math:`4 \mu_x \mu_y = \mu_s^2 - \mu_d^2` and
    :math:`2 (\mu_x^2 + \mu_y^2) = \mu_s^2 + \mu_d^2`; likewise for the variances.
    """

    def smooth(image: np.ndarray) -> np.ndarray:
        blurred = cv2.GaussianBlur(image, (WINDOW_PX, WINDOW_PX), SIGMA_PX)
        return without_border(blurred, WINDOW_PX // 2)

    # Single precision would do for a photograph, but not for the variance of d in flat areas. An
    # error in the variance of s matters only where d varies; centring keeps it small.
    s, d = np.add(x, y, dtype=np.float32), np.subtract(x, y, dtype=np.float64)
    centre = s.mean().round()
    s -= centre
    mean_s, mean_d = smooth(s), np.square(smooth(d))
    variance_s = smooth(np.square(s, out=s)) - np.square(mean_s)
    variance_d = (smooth(np.square(d, out=d)) - mean_d).astype(np.float32)
    mean_s, mean_d = np.square(mean_s + centre), mean_d.astype(np.float32)
    ssim = (mean_s - mean_d + 2 * C1) * (variance_s - variance_d + 2 * C2)
    ssim /= (mean_s + mean_d + 2 * C1) * (variance_s + variance_d + 2 * C2)
    return float(ssim.sum(dtype=np.float64))


@register_metric(lower_better=True, suffix='iqasr')
def calculate_niqe(
    img: np.ndarray,
    crop_border: int,
    input_order: Literal['HWC'] = 'HWC',
    convert_to: Literal['y'] = 'y',
) -> float:
    """Natural image quality evaluator, lower is better; NaN for a constant image.

    Args:
        img: Output, ``(H, W, 3)`` uint8 BGR in [0, 255].
        crop_border: Pixels left out at each side.
        input_order: Order of the axes; for BasicSR's option files.
        convert_to: The luma, which is measured; for BasicSR's option files.

    Raises:
        ValueError: If fewer than two blocks remain.
    """
    inner = without_border(img, crop_border)
    if inner.shape[0] // BLOCK_PX * (inner.shape[1] // BLOCK_PX) < 2:
        raise ValueError(f'NIQE needs two blocks of {BLOCK_PX} x {BLOCK_PX} px inside the border.')
    return niqe(luma_of(inner).round())


def prepare(
    img: np.ndarray, img2: np.ndarray, border: int, luma: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Cut the border off both images and, if asked, reduce them to their luma."""
    if img.shape != img2.shape:
        raise ValueError(
            f'The images are {img.shape[:2]} and {img2.shape[:2]} pixels; they must be of one size.'
        )
    img, img2 = without_border(img, border), without_border(img2, border)
    if not luma:
        return img, img2
    return luma_of(img)[..., None], luma_of(img2)[..., None]
