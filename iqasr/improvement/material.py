"""What an improvement is made of: squares of photographs, to train on, to watch, and to test on."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from iqasr.curation.tiles import find_photographs
from iqasr.data.files.image_files import decode_rgb
from iqasr.data.files.photographs import detailed_places, reduced
from iqasr.degradation import from_uint8, to_uint8
from iqasr.enhancement.selection import SelectionRules, find_twins, fingerprint
from iqasr.evaluation.evaluate import write_image
from iqasr.registry import DEGRADATION_REGISTRY, build
from iqasr.runtime.atomic_files import write_json
from iqasr.runtime.crops import cut_square, spread
from iqasr.runtime.errors import DataError
from iqasr.runtime.randomness import generator_at

logger = logging.getLogger('iqasr')

LEAST_PHOTOGRAPHS, MOST_PHOTOGRAPHS = 8, 400
TRAIN, VAL, TEST = 'train', 'val', 'test'
MOST_SQUARES = {TRAIN: 200, VAL: 8, TEST: 24}
SHARES = {VAL: 0.1, TEST: 0.3}
SQUARES = 'squares'
"""Folder of the squares to train on, before they have candidates."""
PHOTOGRAPHS = 'photographs.json'
"""File that says what became of each photograph."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of the squares.

    Args:
        scale: Up-sampling factor of the network.
        square_px: Side of the squares, a multiple of `scale`.
        reduce: Factor by which photographs are reduced first.
        per_photograph: Squares of each photograph to train on, the most detailed ones.
    """

    scale: int
    square_px: int
    reduce: float
    per_photograph: int = 2


@dataclass
class Material:
    """Photographs, read once.

    Args:
        source: Folder they come from.
        squares: Squares of each photograph, the most detailed first, by name.
        left_out: Reasons why others are not used, a sentence each.
    """

    source: str
    squares: dict[str, list[np.ndarray]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def read_material(source: str, target: Path, sizes: Sizes) -> Material:
    """Read photographs and cut their most detailed squares.

    Args:
        source: Folder of photographs; sub-folders count.
        target: Folder of the outcome, which is passed over.
        sizes: Sizes.

    Raises:
        DataError: If fewer than `LEAST_PHOTOGRAPHS` can be used.
    """
    files = find_photographs(source, target)
    names = spread(list(files), MOST_PHOTOGRAPHS)
    material, codes = Material(source), {}
    for name in names:
        path = files[name]
        try:
            image = reduced(decode_rgb(path.read_bytes(), str(path)), sizes.reduce)
        except (ValueError, OSError) as error:
            material.left_out.append(str(error))
            continue
        if min(image.shape[:2]) < sizes.square_px:
            text = f'{path}: smaller than {sizes.square_px} px after reduction.'
            material.left_out.append(text)
            continue
        places = detailed_places(image, sizes.square_px, sizes.per_photograph)
        squares = [cut_square(image, place, sizes.square_px).copy() for place in places]
        key = name.replace('/', '_')
        while key in material.squares:  # a/1.png and a_1.png
            key += '_'
        material.squares[key], codes[key] = squares, [fingerprint(image)]
    keys = list(codes)
    for index in find_twins(list(codes.values()), SelectionRules().most_alike_bits):
        del material.squares[keys[index]]
        material.left_out.append(f'{keys[index]}: nearly the same picture as another.')
    if len(material.squares) < LEAST_PHOTOGRAPHS:
        raise DataError(
            f'{source}: {len(material.squares)} photographs can be used, {LEAST_PHOTOGRAPHS} are '
            f'needed. {" ".join(material.left_out[:3])}'
        )
    return material


def split(names: Sequence[str]) -> dict[str, list[str]]:
    """Share photographs out: none serves two purposes.

    Example:
        >>> {k: len(v) for k, v in split([f'{n:02d}' for n in range(40)]).items()}
        {'test': 12, 'val': 4, 'train': 24}
    """
    left, parts = list(names), {}
    for part in (TEST, VAL):
        count = min(MOST_SQUARES[part], max(2, round(SHARES[part] * len(names))))
        parts[part] = spread(left, count)
        left = [name for name in left if name not in parts[part]]
    return parts | {TRAIN: spread(left, MOST_SQUARES[TRAIN])}


def write_material(
    material: Material, target: Path, sizes: Sizes, degradations: Mapping[str, Mapping[str, Any]]
) -> None:
    """Write the squares, and what networks are given of those to watch and to test on.

    Args:
        material: The squares.
        target: Folder to make: ``squares``; ``val`` and ``test`` with ``gt`` and a folder for each
            degradation; ``photographs.json``, which says what each photograph serves for, and of
            which folder and reduction they are.
        sizes: Sizes.
        degradations: Sections of the degradations, by folder.
    """
    partial = target.with_name(f'{target.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    parts = split(list(material.squares))
    for name in parts[TRAIN]:
        for number, square in enumerate(material.squares[name]):
            write_image(partial / SQUARES / f'{name}-{number}.png', square[..., ::-1])
    for part in (VAL, TEST):
        for name in parts[part]:
            gt = material.squares[name][0]
            write_image(partial / part / 'gt' / f'{name}.png', gt[..., ::-1])
            for folder, section in degradations.items():
                generator = generator_at('improvement', part, name, folder)
                lq = degraded(gt, section, sizes.scale, generator)
                write_image(partial / part / folder / f'{name}.png', lq[..., ::-1])
    made_of = {'left out': material.left_out, 'source': material.source, 'reduce': sizes.reduce}
    write_json(parts | made_of, partial / PHOTOGRAPHS)
    partial.replace(target)


def degraded(
    image: np.ndarray, section: Mapping[str, Any], scale: int, generator: torch.Generator
) -> np.ndarray:
    """Degrade an image, ``(H, W, 3)`` uint8 RGB."""
    degradation = build(DEGRADATION_REGISTRY, dict(section), scale=scale)
    batch = from_uint8(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])
    return to_uint8(degradation(batch, generator))[0].permute(1, 2, 0).numpy()
