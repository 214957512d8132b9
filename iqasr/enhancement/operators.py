"""Classical operators, which enhance without training.

Source:
    The implementations are OpenCV's. Buades et al. (2011), Non-local means denoising, IPOL; Tomasi
    and Manduchi (1998), Bilateral filtering for gray and color images, ICCV; Zuiderveld (1994),
    Contrast limited adaptive histogram equalization, Graphics Gems IV.
"""

from dataclasses import dataclass, fields

import cv2
import numpy as np

from iqasr.enhancement.base import Enhancer
from iqasr.registry import ENHANCER_REGISTRY


def unsharp_mask(image: np.ndarray, sigma_px: float, amount: float) -> np.ndarray:
    """Add `amount` times what a Gaussian blur removes; ``(H, W, 3)`` uint8."""
    blurred = cv2.GaussianBlur(image, (0, 0), sigma_px)
    return cv2.addWeighted(image, 1 + amount, blurred, -amount, 0)


def equalise(image: np.ndarray, clip_limit: float, tiles: int) -> np.ndarray:
    """Equalise the lightness of an image in tiles; ``(H, W, 3)`` uint8 RGB."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clip_limit, (tiles, tiles)).apply(lab[..., 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


class Operator(Enhancer):
    """Enhancer whose options, the fields of a dataclass, are positive numbers."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ValueError(f'{field.name} is {value}; use a number above 0.')


@ENHANCER_REGISTRY.register()
@dataclass(kw_only=True)
class UnsharpMask(Operator):
    """Sharpens by adding what a Gaussian blur removes.

    Args:
        sigma_px: Standard deviation of the blur, > 0.
        amount: Factor of the added detail, > 0; from about 2 on, edges get halos.

    Raises:
        ValueError: If an option is out of range.
    """

    sigma_px: float = 1.0
    amount: float = 0.8

    def enhance(self, photograph: np.ndarray) -> np.ndarray:
        """Sharpen; see `Enhancer.enhance`."""
        return unsharp_mask(photograph, self.sigma_px, self.amount)


@ENHANCER_REGISTRY.register()
@dataclass(kw_only=True)
class LocalContrast(Operator):
    """Raises local contrast by contrast-limited histogram equalisation in tiles (CLAHE).

    Args:
        clip_limit: Largest slope of the tone curve, > 0; at 1 hardly anything changes.
        tiles: Tiles along each side of the photograph, >= 1.

    Raises:
        ValueError: If an option is out of range.
    """

    clip_limit: float = 1.5
    tiles: int = 4

    def enhance(self, photograph: np.ndarray) -> np.ndarray:
        """Raise local contrast; see `Enhancer.enhance`."""
        return equalise(photograph, self.clip_limit, self.tiles)


@ENHANCER_REGISTRY.register()
@dataclass(kw_only=True)
class NonLocalMeans(Operator):
    """Removes noise by averaging over similar patches. Slow: seconds per megapixel.

    Args:
        strength: About the standard deviation of the noise in grey levels, > 0; higher values
            remove detail as well.

    Raises:
        ValueError: If `strength` is not positive.
    """

    strength: float = 3.0

    def enhance(self, photograph: np.ndarray) -> np.ndarray:
        """Remove noise; see `Enhancer.enhance`."""
        return cv2.fastNlMeansDenoisingColored(photograph, None, self.strength, self.strength)


@ENHANCER_REGISTRY.register()
@dataclass(kw_only=True)
class BilateralFilter(Operator):
    """Smooths, but not across edges: fast removal of weak noise and compression artifacts.

    Args:
        sigma_levels: Standard deviation of the weights by difference in grey levels, > 0.
        sigma_px: Standard deviation of the weights by distance, > 0.

    Raises:
        ValueError: If an option is out of range.
    """

    sigma_levels: float = 12.0
    sigma_px: float = 2.0

    def enhance(self, photograph: np.ndarray) -> np.ndarray:
        """Smooth; see `Enhancer.enhance`."""
        diameter = 2 * round(1.25 * self.sigma_px) + 1
        return cv2.bilateralFilter(photograph, diameter, self.sigma_levels, self.sigma_px)
