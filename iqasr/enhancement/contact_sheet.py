"""A contact sheet: the most detailed square of some originals, beside that of their candidates."""

from collections.abc import Sequence
from pathlib import Path

import cv2

from iqasr.data.files.image_files import decode_rgb
from iqasr.data.files.photographs import detailed_places
from iqasr.runtime.atomic_files import write_bytes_atomically
from iqasr.runtime.crops import crop_grid, cut_square, spread

CROP_PX, ZOOM, ROWS = 192, 2, 12


def write_contact_sheet(
    path: Path, groups: Sequence[Sequence[Path]], labels: Sequence[str]
) -> None:
    """Show up to `ROWS` groups, one per row: the same square of the original and each candidate.

    Args:
        path: PNG file to write.
        groups: Image files of each group, the original first.
        labels: Labels of the columns.

    Raises:
        CheckpointError: If the sheet cannot be written.
    """
    rows = []
    for group in spread(groups, ROWS):
        images = [decode_rgb(Path(file).read_bytes(), str(file)) for file in group]
        (place,) = detailed_places(images[0], CROP_PX, 1)
        rows.append([cut_square(image, place, CROP_PX)[..., ::-1] for image in images])
    sheet = crop_grid(rows, labels, CROP_PX, ZOOM)
    write_bytes_atomically(cv2.imencode('.png', sheet)[1].tobytes(), path)
