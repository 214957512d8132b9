"""A small multi-GT data set of photographs, either those of scikit-image or your own.

Candidates come from classical operators, or from the networks that packages hold; a rule takes the
place of human votes. It serves to run every part of iqasr on real pictures, not to compare methods.

Source:
    Patches are kept by the rule of HGGT (Chen et al. 2023): standard deviation and variance of the
    Laplacian, both of the grey levels, of at least 30.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from basicsr.utils.matlab_functions import imresize
from tqdm import tqdm

from iqasr.data.candidates.hggt import ANNOTATORS, write_votes
from iqasr.data.files.photographs import detailed_places, read_photographs, reduced
from iqasr.enhancement.operators import equalise, unsharp_mask
from iqasr.evaluation.evaluate import write_image
from iqasr.runtime.crops import Place, cut_square
from iqasr.runtime.errors import DataError
from iqasr.sampling.labels import Label

TRAIN = ('astronaut', 'coffee', 'stereo_motorcycle', 'immunohistochemistry', 'retina')
EVERYDAY = TRAIN[:3]
"""Those of them that networks for everyday pictures suit."""

VALIDATION = ('chelsea', 'rocket')
"""Names in ``skimage.data``, different ones for training and validation."""

PATCH_PX, STRIDE_PX = 320, 160
VALIDATION_PX, VALIDATION_SCALE = 480, 4

_LEAST_CONTRAST = 30.0
_SIMILAR_BELOW, _NEGATIVE_ABOVE = 1.3, 2.4
_STRICTNESS = dict(zip(ANNOTATORS, (0.9, 1.0, 1.15), strict=True))
"""Factors of the limits by annotator, so that they sometimes disagree."""

ENHANCERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    # noise removed, mildly sharpened
    '01': lambda image: unsharp_mask(cv2.bilateralFilter(image, 5, 12, 2), 1.5, 0.4),
    # clearly sharpened
    '02': lambda image: unsharp_mask(image, 1.0, 1.0),
    # more local contrast, sharpened
    '03': lambda image: unsharp_mask(equalise(image, 1.5, 4), 1.0, 0.6),
    # sharpened far too much: raised noise, halos
    '04': lambda image: unsharp_mask(image, 2.0, 3.5),
}
"""From ``(H, W, 3)`` uint8 RGB to the same, by the folder of the candidates."""


def make_sample_dataset(
    target: str,
    train: str | None = None,
    val: str | None = None,
    *,
    reduce: float = 2.0,
    most: int = 24,
    enhancers: Mapping[str, Callable[[np.ndarray], np.ndarray]] | None = None,
) -> None:
    """Make the data set, always with the same bytes.

    Args:
        target: Folder to make. ``train`` receives originals, candidates and labels, ``val/gt`` and
            ``val/lq_x4`` other photographs and their bicubic reductions. It is made under another
            name and renamed when complete.
        train: Folder of photographs for training; default those of scikit-image.
        val: Folder of photographs for validation, of which the most detailed square is used;
            default those of scikit-image.
        reduce: Factor by which photographs of a folder are reduced first.
        most: Most patches of each photograph of a folder, the most detailed first.
        enhancers: What makes the candidates of each folder, `ENHANCERS` by default. With others,
            only `EVERYDAY` photographs of scikit-image are trained on.

    Raises:
        FileExistsError: If the target exists.
        DataError: If a folder holds no photographs, or no patch worth training on.
    """
    if os.path.exists(target):
        raise FileExistsError(f'{target} exists. Remove it to make it again.')
    partial = f'{target}.partial'
    shutil.rmtree(partial, ignore_errors=True)
    folder = Path(partial, 'train')
    for who in ANNOTATORS:
        (folder / 'labels' / who).mkdir(parents=True)
    names = EVERYDAY if enhancers else TRAIN
    photographs = _load_photographs(names) if train is None else read_photographs(train, reduce)
    for name, image in tqdm(photographs, 'photographs', unit='image'):
        places = _choose_places(image, STRIDE_PX if train is None else PATCH_PX)
        if train is not None:
            by_detail = sorted(places, key=lambda p: -_sharpness(cut_square(image, p, PATCH_PX)))
            places = by_detail[:most]
        _write_groups(folder, name, image, places, enhancers or ENHANCERS)
    if not (folder / 'original').exists():
        raise DataError(
            f'{train}: no photograph has a patch of {PATCH_PX} px with enough detail after '
            f'reduction by {reduce:g}. Use other photographs, or reduce less.'
        )
    photographs = _load_photographs(VALIDATION) if val is None else read_photographs(val, reduce)
    for name, image in photographs:
        if val is not None:
            (place,) = detailed_places(image, VALIDATION_PX, 1)
            image = cut_square(image, place, VALIDATION_PX)
        write_pair(Path(partial, 'val'), name, image)
    os.replace(partial, target)


def _write_groups(
    train: Path,
    photograph: str,
    original: np.ndarray,
    places: Iterable[Place],
    enhancers: Mapping[str, Callable[[np.ndarray], np.ndarray]],
) -> None:
    candidates = {folder: enhance(original) for folder, enhance in enhancers.items()}
    for place in places:
        name = f'{photograph}-{place[0]}-{place[1]}'
        patch = cut_square(original, place, PATCH_PX)
        write_image(train / 'original' / f'{name}.png', patch[..., ::-1])
        gain = {}
        for folder, image in candidates.items():
            enhanced = cut_square(image, place, PATCH_PX)
            write_image(train / folder / f'{name}_{folder}.png', enhanced[..., ::-1])
            gain[folder] = _sharpness(enhanced) / _sharpness(patch)
        for who in ANNOTATORS:
            votes = {folder: _vote(gain[folder], _STRICTNESS[who]) for folder in enhancers}
            write_votes(str(train / 'labels' / who / f'{name}.json'), name, votes)


def write_pair(
    target: Path, photograph: str, gt: np.ndarray, scale: int = VALIDATION_SCALE
) -> None:
    """Write a photograph, ``(H, W, 3)`` uint8 RGB, and its bicubic reduction.

    They become ``<target>/gt/<photograph>.png``, cut to a multiple of the scale, and
    ``<target>/lq_x<scale>/<photograph>.png``.
    """
    height, width = (side // scale * scale for side in gt.shape[:2])
    gt = gt[:height, :width]
    lq = imresize(gt / 255.0, 1 / scale, antialiasing=True)
    lq = np.round(lq.clip(0, 1) * 255).astype(np.uint8)
    for folder, image in (('gt', gt), (f'lq_x{scale}', lq)):
        write_image(target / folder / f'{photograph}.png', image[..., ::-1])


def _load_photographs(names: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Load photographs of scikit-image, ``(H, W, 3)`` uint8 RGB."""
    for name in names:
        loaded = getattr(skimage.data, name)()
        image = loaded[0] if isinstance(loaded, tuple) else loaded
        # The retina is twice as large as its detail.
        yield name, reduced(image, 2 if name == 'retina' else 1)


def _choose_places(image: np.ndarray, stride: int) -> Iterator[Place]:
    """Yield the places of patches with enough contrast and detail, at most `stride` px apart."""
    if min(image.shape[:2]) < PATCH_PX:
        return
    tops, lefts = (
        np.linspace(0, side - PATCH_PX, 1 + -(-(side - PATCH_PX) // stride)).astype(int).tolist()
        for side in image.shape[:2]
    )
    for top, left in ((top, left) for top in tops for left in lefts):
        patch = cut_square(image, (top, left), PATCH_PX)
        contrast = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY).std()
        if contrast >= _LEAST_CONTRAST and _sharpness(patch) ** 2 >= _LEAST_CONTRAST:
            yield top, left


def _sharpness(image: np.ndarray) -> float:
    """Standard deviation of the Laplacian of the grey levels."""
    return float(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_64F).std())


def _vote(gain: float, strictness: float) -> Label:
    """Vote by the gain in sharpness: little is similar, far too much negative, else positive."""
    if gain > _NEGATIVE_ABOVE * strictness:
        return Label.NEGATIVE
    return Label.POSITIVE if gain > _SIMILAR_BELOW * strictness else Label.SIMILAR
