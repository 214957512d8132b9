"""Pictures of a curation: histograms of scores, and sheets of tiles that stay and that go."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from iqasr.analysis.plots import save_figure
from iqasr.runtime.atomic_files import write_bytes_atomically
from iqasr.runtime.crops import crop_grid, spread

CELL_PX, ROWS, COLUMNS, BINS = 192, 6, 8, 40


def write_histograms(
    path: Path,
    scores: Mapping[str, np.ndarray],
    stays: np.ndarray,
    limits: Mapping[str, float],
) -> None:
    """Draw how the scores of all tiles are distributed, those that stay below those that go.

    Args:
        path: PNG file.
        scores: Scores of all tiles as published, by scorer.
        stays: Which tiles stay, bool.
        limits: Limits by scorer, drawn as lines.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 2.6 * len(scores)), layout='constrained')
    axes = figure.subplots(len(scores), squeeze=False)[:, 0]
    for own, (name, values) in zip(axes, scores.items(), strict=True):
        known = np.isfinite(values)
        parts = [values[known & stays], values[known & ~stays]]
        labels = [f'stay: {stays.sum()}', f'go: {(~stays).sum()}']
        own.hist(parts, BINS, stacked=True, label=labels, color=['tab:blue', 'lightgrey'])
        if name in limits:
            own.axvline(limits[name], color='black', linestyle=':', label=f'limit {limits[name]:g}')
        own.set(xlabel=name, ylabel='tiles')
        own.legend(fontsize='small')
    save_figure(figure, path)


def write_sheet(
    path: Path, columns: Mapping[str, Sequence[str]], read: Callable[[str], np.ndarray]
) -> None:
    """Show up to `ROWS` pictures of each column, evenly spread over it.

    Args:
        path: PNG file; without columns it is removed.
        columns: Names of pictures, by what is written above them.
        read: From a name to ``(H, W, 3)`` uint8 RGB.
    """
    if not columns:
        path.unlink(missing_ok=True)
        return
    height = min(ROWS, max(map(len, columns.values())))
    shown = [spread(names, height) for names in columns.values()]
    blank = np.full((CELL_PX, CELL_PX, 3), 255, np.uint8)
    cells: dict[str, np.ndarray] = {}
    for name in sorted({name for names in shown for name in names}):  # tiles of one photograph
        cells[name] = fit(read(name))
    rows = [
        [cells[names[row]] if row < len(names) else blank for names in shown]
        for row in range(height)
    ]
    sheet = crop_grid(rows, list(columns), CELL_PX, 1)
    write_bytes_atomically(cv2.imencode('.png', sheet)[1].tobytes(), path)


def fit(image: np.ndarray) -> np.ndarray:
    """Make a picture, RGB, as small as a cell, and BGR."""
    factor = max(1, max(image.shape[:2]) / CELL_PX)
    size = [max(1, int(side / factor)) for side in image.shape[1::-1]]
    return cv2.resize(image[..., ::-1], size, interpolation=cv2.INTER_AREA)
