"""A grid of pictures: the same crops as every network restored them."""

from collections.abc import Sequence

import numpy as np

from iqasr.data.files.photographs import detailed_places
from iqasr.evaluation.result_folder import ResultFolder, common_test_sets
from iqasr.report.pictures import read_versions
from iqasr.runtime.crops import crop_grid, cut_square


def picture_grid(
    results: Sequence[ResultFolder], crop_px: int = 128, zoom: int = 2, per_image: int = 2
) -> np.ndarray:
    """Show the most detailed crops of every test image, one column per network.

    Args:
        results: Result folders with saved images (``val.save_img: true``).
        crop_px: Side of a crop, in pixels of the ground truth.
        zoom: Enlargement of the crops, without smoothing.
        per_image: Crops of each image.

    Returns:
        The grid, ``(H, W, 3)`` uint8 BGR, with a label above each column.
    """
    rows = []
    for dataset in common_test_sets(results):
        for name in results[0].sets[dataset]['files']:
            versions = read_versions(results, dataset, name)
            columns = [versions[v] for v in range(len(results) + 1) if v in versions]
            for place in detailed_places(columns[-1], crop_px, per_image):
                rows.append([cut_square(image, place, crop_px) for image in columns])
    return crop_grid(rows, [*(r.name for r in results), 'ground truth'], crop_px, zoom)
