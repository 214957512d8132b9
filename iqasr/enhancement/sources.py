"""Which photographs are worth enhancing: no near-duplicates, none that are flat, blurred or bad.

Source:
    The fingerprint is the perceptual hash by discrete cosine transform of Zauner (2010),
    Implementation and benchmarking of perceptual image hash functions, section 3.2.1; written here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from iqasr.data.files.photographs import detailed_places
from iqasr.data.scores.score_table import score_images
from iqasr.enhancement.patches import contrast_and_detail, cut
from iqasr.quality import QualityScorer
from iqasr.runtime.distributed import CPU

SEEN_PX = 512
"""Side of the most detailed square of a photograph, by which its detail and quality are judged: a
blurred background is no fault."""

FINGERPRINT_BITS, THUMBNAIL_PX = 64, 32
BITS_OF_BYTE = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=int)


@dataclass(frozen=True)
class SourceRules:
    """Which photographs are left out.

    Args:
        least_side_px: Shorter side of a photograph.
        least_contrast: Standard deviation of the grey levels of a photograph, in [0, 255]; 0 takes
            any.
        least_detail: Variance of their 8-bit Laplacian in the most detailed square of 512 px; 0
            takes any. Blurred photographs have little.
        least_quality: Quality of that square by a scorer, in its units; None asks no scorer.
        most_alike_bits: Of two photographs whose fingerprints differ in so many of 64 bits or
            fewer, the one of fewer pixels is left out; -1 takes both.
    """

    least_side_px: int = 1
    least_contrast: float = 10.0
    least_detail: float = 10.0
    least_quality: float | None = None
    most_alike_bits: int = 6


@dataclass(frozen=True)
class Examination:
    """What is known of a photograph.

    Args:
        height: In pixels, as is `width`.
        contrast: As in `SourceRules`, as are `detail` and `quality`.
        fingerprint: 64 bits, in hexadecimal.
    """

    height: int
    width: int
    contrast: float
    detail: float
    fingerprint: str
    quality: float | None = None


def examine(
    photograph: np.ndarray,
    name: str,
    scorer: QualityScorer | None = None,
    device: torch.device = CPU,
) -> Examination:
    """Examine a photograph.

    Args:
        photograph: ``(H, W, 3)`` uint8 RGB.
        name: What errors call it.
        scorer: Asked for the quality, if given.
        device: Where the scorer works.

    Raises:
        ValueError: If the scorer refuses the photograph.
    """
    ((top, left),) = detailed_places(photograph, SEEN_PX, 1)
    square = cut(photograph, (top, left), SEEN_PX)
    quality = None
    if scorer is not None:
        (quality,) = score_images([square], [name], scorer, batch=1, device=device)
    return Examination(
        *photograph.shape[:2],
        contrast=contrast_and_detail(photograph)[0],
        detail=contrast_and_detail(square)[1],
        fingerprint=fingerprint(photograph),
        quality=quality,
    )


def fingerprint(photograph: np.ndarray) -> str:
    """Summarise what a photograph looks like, whatever its size, sharpness or compression.

    Args:
        photograph: ``(H, W, 3)`` uint8 RGB.

    Returns:
        64 bits in hexadecimal: which of its lowest frequencies, in 8 x 8, are above their median.
    """
    grey = cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    side = int(FINGERPRINT_BITS**0.5)
    lowest = cv2.dct(small.astype(np.float32))[1 : side + 1, 1 : side + 1]
    return np.packbits(lowest > np.median(lowest)).tobytes().hex()


def differing_bits(own: str, others: Sequence[str]) -> np.ndarray:
    """Count the bits in which a fingerprint differs from each of others.

    Example:
        >>> differing_bits('00ff', ['01fe', '00ff'])
        array([2, 0])
    """
    codes = np.frombuffer(bytes.fromhex(own + ''.join(others)), np.uint8).reshape(
        1 + len(others), -1
    )
    return BITS_OF_BYTE[codes[1:] ^ codes[0]].sum(1)


def left_out(
    examinations: Mapping[str, Examination], rules: SourceRules
) -> dict[str, tuple[str, str]]:
    """Decide which photographs are left out.

    Args:
        examinations: By name.
        rules: What is asked of them.

    Returns:
        Kind of reason (``small``, ``flat``, ``blurred``, ``low quality``, ``near-duplicate``) and
        what was found, by the name of each that is left out.
    """
    reasons = {name: fault_of(e, rules) for name, e in examinations.items()}
    found = {name: reason for name, reason in reasons.items() if reason is not None}
    good = [name for name in examinations if name not in found]
    # The largest first: of a photograph and its thumbnail, the photograph stays.
    good.sort(key=lambda n: (-examinations[n].height * examinations[n].width, n))
    kept: list[str] = []
    for name in good:
        own = examinations[name].fingerprint
        bits = differing_bits(own, [examinations[other].fingerprint for other in kept])
        if bits.size and bits.min() <= rules.most_alike_bits:
            twin = kept[int(bits.argmin())]
            found[name] = 'near-duplicate', f'{bits.min()} of {FINGERPRINT_BITS} bits from {twin}'
        else:
            kept.append(name)
    return found


def fault_of(found: Examination, rules: SourceRules) -> tuple[str, str] | None:
    """Say what a photograph lacks by itself; None if nothing."""
    if min(found.height, found.width) < rules.least_side_px:
        return 'small', f'{found.width} x {found.height} px, needs {rules.least_side_px} each way'
    if found.contrast < rules.least_contrast:
        return 'flat', f'contrast {found.contrast:.1f} below {rules.least_contrast:g}'
    if found.detail < rules.least_detail:
        return 'blurred', f'detail {found.detail:.1f} below {rules.least_detail:g}'
    if rules.least_quality is not None and not (found.quality or 0) >= rules.least_quality:
        return 'low quality', f'quality {found.quality:.3f} below {rules.least_quality:g}'
    return None
