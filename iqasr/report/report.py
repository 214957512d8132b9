"""From result folders to a report: a page, tables, and a grid of pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from iqasr.evaluation.evaluate import write_image
from iqasr.report.comparison import compare
from iqasr.report.grid import picture_grid
from iqasr.report.origin import origin_of
from iqasr.report.page import html_page
from iqasr.report.pictures import PictureSize, missing_pictures
from iqasr.report.results import read_all
from iqasr.report.table import LATEX, MARKDOWN
from iqasr.runtime.atomic_files import write_text_atomically


class Report(NamedTuple):
    """What has been written."""

    table: str
    """Means and differences, Markdown."""

    page: Path
    missing: list[str]
    """Images that are not there, a sentence each; the page leaves them out, and has no grid."""


def write_report(
    folders: Sequence[str | Path],
    target: str | Path,
    *,
    baseline: str | None = None,
    size: PictureSize | None = None,
) -> Report:
    """Compare result folders.

    Args:
        folders: Result folders of iqasr/test.py.
        target: The page to write, ``<name>.html``, or a folder that receives ``report.html``.
            Beside it come ``<name>.md``, ``<name>.tex`` and ``grid.png``.
        baseline: Name of the run that the others are compared with; None for the first.
        size: Of the pictures in the page.

    Raises:
        DataError: If a folder is no result folder, or the runs cannot be compared.
        OptionError: If the options of a run cannot be read.
        OSError: If a file cannot be read or written.
    """
    page = Path(target)
    page = page if page.suffix == '.html' else page / 'report.html'
    results = read_all(folders)
    comparisons = compare(results, baseline)
    missing = [text for c in comparisons for text in missing_pictures(results, c.dataset)]
    origins = [origin_of(r) for r in results]
    used = {c.dataset for c in comparisons}
    left_out = [
        f'{r.name}: {dataset} is left out, as not all runs have it.'
        for r in results
        for dataset in r.sets
        if dataset not in used
    ]
    html = html_page(results, comparisons, origins, left_out + missing, size or PictureSize())
    write_text_atomically(html, page)
    table = MARKDOWN.tables(comparisons)
    grid = '' if missing else '\n\n![pictures](grid.png)'
    write_text_atomically(f'{table}{grid}\n', page.with_suffix('.md'))
    latex = LATEX.tables(comparisons)
    write_text_atomically(f'% Needs \\usepackage{{booktabs}}.\n{latex}\n', page.with_suffix('.tex'))
    if not missing:
        write_image(page.with_name('grid.png'), picture_grid(results))
    return Report(table, page, missing)
