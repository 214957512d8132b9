"""Data of realistic shape for the benchmarks, made from the photographs of scikit-image."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import skimage.data

from iqasr.data.candidates.hggt import ANNOTATORS, write_votes
from iqasr.enhancement.sample_dataset import ENHANCERS
from iqasr.sampling.labels import Label

PHOTOGRAPHS = ('astronaut', 'coffee', 'chelsea', 'rocket', 'immunohistochemistry')


def pieces(count: int, height: int, width: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Cut pieces, ``(H, W, 3)`` uint8 RGB, out of photographs that are enlarged to hold them."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        image = getattr(skimage.data, PHOTOGRAPHS[number % len(PHOTOGRAPHS)])()
        factor = max(1.25 * height / image.shape[0], 1.25 * width / image.shape[1], 1.0)
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        top, left = (
            generator.integers(side - size + 1)
            for side, size in zip(image.shape, (height, width), strict=False)
        )
        yield np.ascontiguousarray(image[top : top + height, left : left + width])


def write_candidates(root: Path, count: int, size: int) -> Path:
    """Write groups of five candidates with labels, in HGGT's layout."""
    images, labels = root / 'images' / 'set', root / 'labels' / 'set'
    folders = ['original', *ENHANCERS]
    for folder in (*(images / name for name in folders), *(labels / who for who in ANNOTATORS)):
        folder.mkdir(parents=True)
    for number, image in enumerate(pieces(count, size, size)):
        name = f'{number:05d}'
        write_image(images / 'original' / f'{name}.png', image)
        for folder, enhance in ENHANCERS.items():
            write_image(images / folder / f'{name}_{folder}.png', enhance(image))
        for who in ANNOTATORS:
            votes = dict.fromkeys(ENHANCERS, Label.POSITIVE)
            write_votes(str(labels / who / f'{name}.json'), name, votes)
    return root


def write_pairs(root: Path, count: int, height: int, width: int, scale: int = 4) -> Path:
    """Write pairs of ground truth and reduction into ``gt`` and ``lq``."""
    for folder in ('gt', 'lq'):
        (root / folder).mkdir(parents=True)
    for number, image in enumerate(pieces(count, height, width)):
        small = cv2.resize(image, (width // scale, height // scale), interpolation=cv2.INTER_AREA)
        write_image(root / 'gt' / f'{number:05d}.png', image)
        write_image(root / 'lq' / f'{number:05d}.png', small)
    return root


def write_image(path: Path, image: np.ndarray) -> None:
    """Write a PNG at OpenCV's default compression."""
    if not cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
        raise OSError(f'{path}: cannot be written. Is the disk full?')
