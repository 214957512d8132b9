"""Selection of photographs: near-duplicates and flat, blurred or bad ones are left out.

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
from iqasr.enhancement.patches import contrast_and_detail
from iqasr.quality import QualityScorer
from iqasr.runtime.crops import cut_square
from iqasr.runtime.distributed import CPU

MEASURED_PX = 512
"""Side of the most detailed square, in which detail and quality are measured, so that a blurred
background does not count as a fault."""

FINGERPRINT_BITS, THUMBNAIL_PX = 64, 32

SET_BITS = np.unpackbits(np.arange(2**16, dtype=np.uint16).view(np.uint8)).reshape(-1, 16).sum(1)
"""Number of bits that are set in each number of 16 bits."""


@dataclass(frozen=True)
class SelectionRules:
    """Rules for the selection of photographs.

    Args:
        least_side_px: Least length of the shorter side.
        least_contrast: Least standard deviation of the grey levels, in [0, 255]; 0 accepts any.
        least_detail: Least variance of their 8-bit Laplacian in the most detailed square of 512 px,
            which is small in blurred photographs; 0 accepts any.
        least_quality: Least quality of that square by a scorer, in its units; None uses no scorer.
        most_alike_bits: Of two photographs whose fingerprints differ in at most so many of 64 bits,
            the one with fewer pixels is left out; -1 keeps both.
    """

    least_side_px: int = 1
    least_contrast: float = 10.0
    least_detail: float = 10.0
    least_quality: float | None = None
    most_alike_bits: int = 6


@dataclass(frozen=True)
class PhotographMeasures:
    """Measures of a photograph.

    Args:
        height: In pixels, as is `width`.
        contrast: As in `SelectionRules`, as are `detail` and `quality`.
        fingerprint: See `fingerprint`.
    """

    height: int
    width: int
    contrast: float
    detail: float
    fingerprint: str
    quality: float | None = None


def measure_photograph(
    photograph: np.ndarray,
    name: str,
    scorer: QualityScorer | None = None,
    device: torch.device = CPU,
) -> PhotographMeasures:
    """Measure a photograph.

    Args:
        photograph: ``(H, W, 3)`` uint8 RGB.
        name: Name of it in errors.
        scorer: Scorer of its quality; default none.
        device: Device of the scorer.

    Raises:
        ValueError: If the scorer refuses the photograph.
    """
    (place,) = detailed_places(photograph, MEASURED_PX, 1)
    square = cut_square(photograph, place, MEASURED_PX)
    quality = None
    if scorer is not None:
        (quality,) = score_images([square], [name], scorer, batch=1, device=device)
    return PhotographMeasures(
        *photograph.shape[:2],
        contrast=contrast_and_detail(photograph)[0],
        detail=contrast_and_detail(square)[1],
        fingerprint=fingerprint(photograph),
        quality=quality,
    )


def fingerprint(photograph: np.ndarray) -> str:
    """Compute a perceptual hash, which hardly depends on size, sharpness and compression.

    Args:
        photograph: ``(H, W, 3)`` uint8 RGB.

    Returns:
        64 bits in hexadecimal: which of the lowest 8 x 8 frequencies are above their median.
    """
    grey = cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    side = int(FINGERPRINT_BITS**0.5)
    lowest = cv2.dct(small.astype(np.float32))[1 : side + 1, 1 : side + 1]
    return np.packbits(lowest > np.median(lowest)).tobytes().hex()


def find_twins(
    fingerprints: Sequence[Sequence[str]], most_alike_bits: int
) -> dict[int, tuple[int, int]]:
    """Find near-duplicates: pictures like one before them that is no near-duplicate itself.

    Args:
        fingerprints: Of each picture its own, then those of other versions of it that count as well
            (its flips).
        most_alike_bits: Largest number of differing bits; -1 finds none.

    Returns:
        By index of each near-duplicate, the index of the picture that it is most like, and in how
        many bits they differ.

    Example:
        >>> find_twins([['00ff'], ['f0f0'], ['01fe'], ['ffff', '00ff']], most_alike_bits=2)
        {2: (0, 2), 3: (0, 0)}
    """
    codes = [np.array([int(code, 16) for code in own], np.uint64) for own in fingerprints]
    kept, others = np.zeros(len(codes), np.uint64), np.zeros(len(codes), int)
    count, twins = 0, {}
    for index, own in enumerate(codes):
        differing = (own[:, None] ^ kept[:count]).view(np.uint16).reshape(len(own), count, 4)
        bits = SET_BITS[differing].sum(2, dtype=int).min(0)
        if count and bits.min() <= most_alike_bits:
            twins[index] = int(others[bits.argmin()]), int(bits.min())
        else:
            kept[count], others[count] = own[0], index
            count += 1
    return twins


def select_left_out(
    measures: Mapping[str, PhotographMeasures], rules: SelectionRules
) -> dict[str, tuple[str, str]]:
    """Select the photographs to leave out.

    Args:
        measures: By name.
        rules: Rules for the selection.

    Returns:
        Fault (``small``, ``flat``, ``blurred``, ``low quality``, ``near-duplicate``) and its
        figures, by the name of each photograph that is left out.
    """
    faults = {name: find_fault(measured, rules) for name, measured in measures.items()}
    left_out = {name: fault for name, fault in faults.items() if fault is not None}
    good = [name for name in measures if name not in left_out]
    # The largest first: of a photograph and its thumbnail, the photograph stays.
    good.sort(key=lambda name: (-measures[name].height * measures[name].width, name))
    fingerprints = [[measures[name].fingerprint] for name in good]
    for index, (twin, bits) in find_twins(fingerprints, rules.most_alike_bits).items():
        figures = f'{bits} of {FINGERPRINT_BITS} bits from {good[twin]}'
        left_out[good[index]] = 'near-duplicate', figures
    return left_out


def find_fault(measured: PhotographMeasures, rules: SelectionRules) -> tuple[str, str] | None:
    """Find a fault of a photograph by itself, with its figures; None if it has none."""
    height, width = measured.height, measured.width
    if min(height, width) < rules.least_side_px:
        return 'small', f'{width} x {height} px, needs {rules.least_side_px} each way'
    if measured.contrast < rules.least_contrast:
        return 'flat', f'contrast {measured.contrast:.1f} below {rules.least_contrast:g}'
    if measured.detail < rules.least_detail:
        return 'blurred', f'detail {measured.detail:.1f} below {rules.least_detail:g}'
    if rules.least_quality is not None and not (measured.quality or 0) >= rules.least_quality:
        return 'low quality', f'quality {measured.quality:.3f} below {rules.least_quality:g}'
    return None
