"""A contact sheet: the most detailed part of some originals, beside that of their candidates."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from iqasr.data.files.photographs import detailed_places
from iqasr.enhancement.patches import cut
from iqasr.report.grid import enlarge, fill, label_line
from iqasr.runtime.atomic_files import write_bytes_atomically

CROP_PX, ZOOM, ROWS = 192, 2, 12


def write_contact_sheet(
    path: Path, groups: Sequence[Sequence[Path]], labels: Sequence[str]
) -> None:
    """Show some groups, one a row: the same detail of the original and of every candidate.

    Args:
        path: PNG to write.
        groups: Image files of each group, the original first.
        labels: What to write above the columns.

    Raises:
        CheckpointError: If the sheet cannot be written.
    """
    shown = np.linspace(0, len(groups) - 1, min(ROWS, len(groups))).round().astype(int)
    rows = []
    for number in shown:
        images = [cv2.imread(str(file)) for file in groups[number]]
        (place,) = detailed_places(images[0], CROP_PX, 1)
        crops = [fill(cut(image, place, CROP_PX), CROP_PX) for image in images]
        rows.append(np.hstack([enlarge(crop, ZOOM) for crop in crops]))
    sheet = np.vstack([label_line(labels, CROP_PX * ZOOM), *rows])
    write_bytes_atomically(cv2.imencode('.png', sheet)[1].tobytes(), path)
