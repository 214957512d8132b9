"""The HTML page of a report: tables, plots and pictures in one file."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from tqdm import tqdm

from iqasr.evaluation.result_folder import ResultFolder
from iqasr.report.comparison import RunComparison
from iqasr.report.origin import MOST_POINTS, Origin, differing_options
from iqasr.report.pictures import PictureSize, cut_views, read_versions
from iqasr.report.table import ARROWS, format_difference, format_interval, format_number


def render_report(
    results: Sequence[ResultFolder],
    comparisons: Sequence[RunComparison],
    origins: Sequence[Origin],
    notes: Sequence[str],
    size: PictureSize,
) -> str:
    """Render the page, deterministically.

    Args:
        results: The runs.
        comparisons: Their comparison on each test set.
        origins: Origin of each run.
        notes: Notes for the reader, such as missing pictures.
        size: Size of the pictures.

    Raises:
        DataError: If the images of the runs do not belong together.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.policies['json.dumps_kwargs'] = {'sort_keys': False}
    environment.filters |= {
        'number': format_number,
        'difference': format_difference,
        'interval': format_interval,
    }
    return environment.get_template('page.html').render(
        runs=[r.name for r in results],
        comparisons=comparisons,
        pictures=[cut_pictures(results, c, size) for c in comparisons],
        options=differing_options(origins),
        options_known=all(o.test for o in origins),
        curves=any(o.curves for o in origins),
        data=plot_data(comparisons, origins),
        notes=notes,
        size=asdict(size),
        arrows=ARROWS,
        most_points=MOST_POINTS,
    )


def cut_pictures(
    results: Sequence[ResultFolder], comparison: RunComparison, size: PictureSize
) -> dict[str, dict[str, dict[int, str]]]:
    """Cut the views of every image."""
    dataset = comparison.dataset
    images = tqdm(comparison.images, desc=f'pictures of {dataset}', unit='image', disable=None)
    return {
        name: cut_views(read_versions(results, dataset, name), len(results), size)
        for name in images
    }


def plot_data(comparisons: Sequence[RunComparison], origins: Sequence[Origin]) -> dict[str, Any]:
    """Collect the numbers of the plots, as JSON content."""
    return {
        'runs': comparisons[0].runs,
        'baseline': comparisons[0].baseline,
        'sets': [
            {
                'better': list(c.better.items()),
                # JSON has no NaN.
                'means': [
                    [m if math.isfinite(m) else None for m in row] for row in c.means.tolist()
                ],
            }
            for c in comparisons
        ],
        'curves': [o.curves for o in origins],
    }
