"""One HTML page that holds everything: tables, plots, pictures."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from tqdm import tqdm

from iqasr.report.comparison import FEW_IMAGES, Comparison
from iqasr.report.origin import MOST_POINTS, Origin, differing_options
from iqasr.report.pictures import PictureSize, versions_of, views
from iqasr.report.results import Results
from iqasr.report.table import ARROWS, change, limits, number


def html_page(
    results: Sequence[Results],
    comparisons: Sequence[Comparison],
    origins: Sequence[Origin],
    notes: Sequence[str],
    size: PictureSize,
) -> str:
    """Make the page; the same input gives the same text.

    Args:
        results: The runs.
        comparisons: Of them, on each test set.
        origins: Of each run.
        notes: What the reader should know, such as pictures that are missing.
        size: Of the pictures.

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
    environment.filters |= {'number': number, 'limits': limits, 'change': change}
    return environment.get_template('page.html').render(
        runs=[r.name for r in results],
        comparisons=comparisons,
        pictures=[pictures_of(results, c, size) for c in comparisons],
        options=differing_options(origins),
        options_known=all(o.test for o in origins),
        curves=any(o.curves for o in origins),
        data=plotted(comparisons, origins),
        notes=notes,
        size=asdict(size),
        arrows=ARROWS,
        few_images=FEW_IMAGES,
        most_points=MOST_POINTS,
    )


def pictures_of(
    results: Sequence[Results], comparison: Comparison, size: PictureSize
) -> dict[str, list[Any]]:
    """Cut the views of every image."""
    dataset = comparison.dataset
    images = tqdm(comparison.images, desc=f'pictures of {dataset}', unit='image', disable=None)
    return {
        name: list(views(versions_of(results, dataset, name), len(results), size))
        for name in images
    }


def plotted(comparisons: Sequence[Comparison], origins: Sequence[Origin]) -> dict[str, Any]:
    """Collect the numbers behind the plots, as JSON can hold them."""
    return {
        'runs': comparisons[0].runs,
        'baseline': comparisons[0].baseline,
        'sets': [
            {'better': list(c.better.items()), 'means': [list(map(finite, m)) for m in c.means]}
            for c in comparisons
        ],
        'curves': [o.curves for o in origins],
    }


def finite(value: float) -> float | None:
    """Turn NaN, which JSON does not know, into None."""
    return float(value) if np.isfinite(value) else None
