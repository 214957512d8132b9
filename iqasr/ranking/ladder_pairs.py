"""Pairs whose better image is known: photographs and increasingly distorted versions of them."""

from itertools import combinations
from pathlib import Path

import torch

from iqasr.analysis.pairs import ImagePair, write_pairs
from iqasr.data.files.photographs import read_photographs
from iqasr.degradation import to_uint8
from iqasr.evaluation.evaluate import write_image
from iqasr.ranking.distortions import SEVERITIES, make_ladder
from iqasr.ranking.examination import detailed_crop
from iqasr.ranking.sources import distortions_with
from iqasr.runtime.errors import DataError
from iqasr.runtime.randomness import generator_at


def make_ladder_pairs(
    folder: str,
    output: str,
    *,
    reduce: float = 2.0,
    size_px: int = 192,
    network: str | None = None,
) -> Path:
    """Distort the most detailed square of every photograph, and pair all versions of a distortion.

    No person is asked: of one distortion, less is better. Which of two images is called a is drawn.

    Args:
        folder: Photographs.
        output: Folder for the images and ``pairs.csv``.
        reduce: Factor by which photographs are reduced first, so that they are sharp.
        size_px: Side of the squares; smaller photographs are left out.
        network: As in `distortions_with`.

    Returns:
        The CSV file.

    Raises:
        DataError: If there are no photographs, one is damaged, or all are too small.
    """
    pairs: list[ImagePair] = []
    target, distortions = Path(output), distortions_with(network)
    for name, image in read_photographs(folder, reduce):
        crop = detailed_crop(image, size_px)
        if crop is None:
            continue
        for kind, distortion in distortions.items():
            with torch.no_grad():
                versions = make_ladder(
                    crop, distortion, SEVERITIES, generator_at('ladder', name, kind)
                )[0]
            names = ['original', *(f'{kind}_{severity:g}' for severity in SEVERITIES[1:])]
            files = [target / name / f'{version}.png' for version in names]
            for file, version in zip(files, versions, strict=True):
                write_image(file, to_uint8(version).permute(1, 2, 0).numpy()[..., ::-1])
            pairs += ordered_pairs(name, kind, files)
    if not pairs:
        raise DataError(
            f'{folder}: no photograph has {size_px} x {size_px} pixels after being reduced by '
            f'{reduce:g}. Give larger ones, or a lower reduction.'
        )
    write_pairs(target / 'pairs.csv', pairs)
    return target / 'pairs.csv'


def ordered_pairs(source: str, kind: str, files: list[Path]) -> list[ImagePair]:
    """Pair the versions of one distortion, given the best first, in a random order of a and b."""
    both = list(combinations(files, 2))
    swapped = torch.rand(len(both), generator=generator_at('swap', source, kind)) < 0.5
    return [
        ImagePair(str(worse), str(better), 1.0, source)
        if swap
        else ImagePair(str(better), str(worse), 0.0, source)
        for (better, worse), swap in zip(both, swapped.tolist(), strict=True)
    ]
