"""Plots of an analysis: heat maps and reliability curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iqasr.analysis.agreement import ReliabilityCurve, Table
from iqasr.analysis.bootstrap import Estimate
from iqasr.runtime.atomic_files import open_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 150


def write_heat_map(path: Path, table: Table, names: Sequence[str], title: str, rows: str) -> None:
    """Draw a share for each pair of scorers.

    Args:
        path: PNG file.
        table: By row and column, in [0, 1]; the diagonal stays empty.
        names: Names of the scorers.
        title: Title of the plot.
        rows: Label of the rows.
    """
    from matplotlib.figure import Figure

    values = np.array([[cell.value for cell in row] for row in table])
    side = 1.6 + 0.75 * len(names)
    figure = Figure(figsize=(side + 1.2, side), layout='constrained')
    axes = figure.subplots()
    image = axes.imshow(values, vmin=0, vmax=1, cmap='viridis')
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = 'black' if value > 0.6 else 'white'
            axes.text(j, i, f'{value:.2f}', ha='center', va='center', color=colour)
    axes.set_xticks(range(len(names)), names, rotation=45, ha='right')
    axes.set_yticks(range(len(names)), names)
    axes.set(title=title, ylabel=rows, xlabel='other scorer')
    figure.colorbar(image, ax=axes, shrink=0.8)
    save_figure(figure, path)


def write_reliability(path: Path, panels: Mapping[str, Sequence[ReliabilityCurve]]) -> None:
    """Draw accuracy by how clear a pair is, with intervals.

    Args:
        path: PNG file.
        panels: Curves by the label of their x axis.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0 * len(panels), 4.2), layout='constrained')
    for axes, (label, curves) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        for curve in curves:
            value, low, high = np.array(curve.accuracy).T
            bars = np.maximum([value - low, high - value], 0)
            style = {'marker': 'o', 'markersize': 4, 'capsize': 2, 'label': curve.scorer}
            axes.errorbar(curve.clearness, value, bars, **style)
        if max(max(curve.clearness) for curve in curves) > 1:  # not a margin among people
            axes.set_xscale('symlog', linthresh=0.1)
        axes.axhline(0.5, color='grey', linestyle=':', label='chance')
        axes.set(xlabel=label, ylabel='accuracy', title='Accuracy where the case is clear')
        axes.legend(fontsize='small')
    save_figure(figure, path)


def write_differences(
    path: Path, curves: Mapping[str, Sequence[Estimate]], labels: Sequence[str], title: str
) -> None:
    """Draw how measures differ from a baseline, with intervals, one small plot for each.

    Args:
        path: PNG file.
        curves: By measure, its difference for each label.
        labels: What was compared, from weak to strong.
        title: Title of the figure.
    """
    from matplotlib.figure import Figure

    columns = min(4, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.4 * rows), layout='constrained')
    places = figure.subplots(rows, columns, squeeze=False).flat
    for axes in places[len(curves) :]:
        axes.remove()
    for axes, (measure, estimates) in zip(places[: len(curves)], curves.items(), strict=True):
        value, low, high = np.array(estimates).T
        bars = np.maximum([value - low, high - value], 0)
        axes.errorbar(range(len(labels)), value, bars, marker='o', markersize=4, capsize=2)
        axes.axhline(0, color='grey', linestyle=':')
        axes.set_xticks(range(len(labels)), labels, fontsize='small', rotation=20)
        axes.set_title(measure, fontsize='medium')
    figure.suptitle(title)
    save_figure(figure, path)


def save_figure(figure: 'Figure', path: Path) -> None:
    """Save a plot as PNG; see `open_atomically`."""
    with open_atomically(path) as file:
        figure.savefig(file, format='png', dpi=DOTS_PER_INCH)
