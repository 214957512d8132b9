"""Pairs whose better image is known: photographs, and ever worse versions of them."""

from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from iqasr.analysis.pairs import Pair, write_pairs
from iqasr.data.files.photographs import detailed_places, read_photographs
from iqasr.degradation import from_uint8
from iqasr.evaluation.evaluate import write_image
from iqasr.ranking.ladders import climb_down
from iqasr.ranking.sources import kinds_with
from iqasr.runtime.errors import DataError
from iqasr.runtime.randomness import generator_at

SEVERITIES = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def make_ladder_pairs(
    folder: str,
    output: str,
    *,
    reduce: float = 2.0,
    size_px: int = 192,
    network: str | None = None,
) -> Path:
    """Damage the most detailed square of every photograph, and pair all rungs of each ladder.

    No person is asked: less damage of one kind is better. Which of two images is called a is drawn.

    Args:
        folder: Photographs.
        output: Folder for the images and ``pairs.csv``.
        reduce: Photographs are made smaller by this factor first, until they are sharp.
        size_px: Side of the squares; photographs that are smaller are left out.
        network: As in `kinds_with`.

    Returns:
        The CSV file.

    Raises:
        DataError: If there are no photographs, one is broken, or all are too small.
    """
    pairs: list[Pair] = []
    target = Path(output)
    for name, image in read_photographs(folder, reduce):
        ((top, left),) = detailed_places(image, size_px, 1)
        crop = image[top : top + size_px, left : left + size_px]
        if crop.shape[:2] != (size_px, size_px):
            continue
        original = target / name / 'original.png'
        write_image(original, crop[..., ::-1])
        pixels = torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)))[None]
        for kind, damage in kinds_with(network).items():
            with torch.no_grad():
                rungs = climb_down(
                    from_uint8(pixels), damage, SEVERITIES, generator_at('ladder', name, kind)
                )[0]
            files = [original]
            for severity, rung in zip(SEVERITIES[1:], rungs[1:], strict=True):
                files.append(target / name / f'{kind}_{severity:g}.png')
                bgr = rung.mul(255).round().byte().permute(1, 2, 0).numpy()[..., ::-1]
                write_image(files[-1], bgr)
            pairs += ordered_pairs(name, kind, files)
    if not pairs:
        raise DataError(
            f'{folder}: no photograph has {size_px} x {size_px} pixels after being reduced by '
            f'{reduce:g}. Give larger ones, or a lower reduction.'
        )
    write_pairs(target / 'pairs.csv', pairs)
    return target / 'pairs.csv'


def ordered_pairs(source: str, kind: str, files: list[Path]) -> list[Pair]:
    """Pair all rungs of a ladder, the best first, in either order."""
    both = list(combinations(files, 2))
    swapped = torch.rand(len(both), generator=generator_at('swap', source, kind)) < 0.5
    return [
        Pair(str(worse), str(better), 1.0, source)
        if swap
        else Pair(str(better), str(worse), 0.0, source)
        for (better, worse), swap in zip(both, swapped.tolist(), strict=True)
    ]
