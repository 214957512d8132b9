"""Squares of photographs, so that enhancers need not process the rest of them."""

import itertools
import json
from collections.abc import Collection
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from iqasr.data.candidates.candidate_folders import stems
from iqasr.data.files.image_files import decode_rgb
from iqasr.data.files.photographs import detailed_places, reduced
from iqasr.runtime.atomic_files import write_bytes_atomically, write_json
from iqasr.runtime.crops import cut_square
from iqasr.runtime.errors import DataError

RECORD = '.squares.json'
"""File in a folder of squares that says how they were cut."""


def cut_squares(image: np.ndarray, side_px: int, count: int, name: str) -> list[np.ndarray]:
    """Cut the most detailed squares out of a photograph, ``(H, W, 3)`` uint8 RGB.

    Raises:
        DataError: If it is smaller than one.
    """
    if min(image.shape[:2]) < side_px:
        raise DataError(f'{name}: is smaller than {side_px} px. Cut smaller squares, reduce less.')
    places = detailed_places(image, side_px, count)
    return [cut_square(image, place, side_px) for place in places]


def cut_folder(
    source: str,
    target: Path,
    *,
    side_px: int,
    count: int = 1,
    reduce: float = 1.0,
    without: Collection[str] = (),
) -> None:
    """Cut the most detailed squares out of the photographs of a folder; goes on where it stopped.

    Args:
        source: Folder of photographs.
        target: Folder that receives the squares as PNG files.
        side_px: Side of a square, after reduction.
        count: Most squares of each photograph.
        reduce: Factor by which photographs are reduced first.
        without: Names of photographs, without suffix, to leave out; squares of theirs are removed.

    Raises:
        DataError: If there is no such folder, two photographs have the same name, one cannot be
            read or is too small, or the squares in `target` were cut in another way.
    """
    if not Path(source).is_dir():
        raise DataError(f'{source}: there is no such folder of photographs.')
    problems: list[str] = []
    files = stems(source, problems)
    if problems:
        raise DataError(problems)
    record, how = target / RECORD, {'side_px': side_px, 'count': count, 'reduce': reduce}
    if record.exists():
        found = json.loads(record.read_text(encoding='utf-8'))
        if found != how:
            raise DataError(
                f'{target}: its squares were cut in another way ({found}, not {how}). Repeat that, '
                'or give another folder.'
            )
    write_json(how, record)
    for name, number in itertools.product(without, range(count)):
        (target / f'{name}-{number}.png').unlink(missing_ok=True)
    wanted = [Path(source, file) for name, file in files.items() if name not in without]
    for file in tqdm(wanted, 'cutting'):
        if (target / f'{file.stem}-0.png').is_file():  # it is written last
            continue
        image = reduced(decode_rgb(file.read_bytes(), str(file)), reduce)
        squares = cut_squares(image, side_px, count, file.stem)
        for number, square in reversed([*enumerate(squares)]):
            png = cv2.imencode('.png', square[..., ::-1])[1]
            write_bytes_atomically(png.tobytes(), target / f'{file.stem}-{number}.png')
