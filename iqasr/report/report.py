"""A report on result folders: a page, tables, and a grid of pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from iqasr.evaluation.evaluate import write_image
from iqasr.evaluation.result_folder import read_result_folders
from iqasr.report.comparison import compare_runs, describe_steps
from iqasr.report.origin import find_origin
from iqasr.report.page import render_report
from iqasr.report.pictures import PictureSize, find_missing_pictures, picture_grid
from iqasr.report.table import LATEX, MARKDOWN
from iqasr.runtime.atomic_files import write_text_atomically


class Report(NamedTuple):
    """A written report."""

    table: str
    """Tables of means and differences, Markdown."""

    page: Path
    words: str
    """What each run did to the pictures of the one before it, a line each."""

    missing: list[str]
    """Missing images, a sentence each. They are left out of the page, and there is no grid."""


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
            ``<name>.md``, ``<name>.tex`` and ``<name>.png`` are written beside it.
        baseline: As in `compare_runs`.
        size: Size of the pictures in the page.

    Raises:
        DataError: If a folder is no result folder, or the runs cannot be compared.
        OptionError: If the options of a run cannot be read.
        OSError: If a file cannot be read or written.
    """
    page = Path(target)
    page = page if page.suffix == '.html' else page / 'report.html'
    results = read_result_folders(folders)
    comparisons = compare_runs(results, baseline)
    missing = [text for c in comparisons for text in find_missing_pictures(results, c.dataset)]
    origins = [find_origin(r) for r in results]
    used = {c.dataset for c in comparisons}
    left_out = [
        f'{r.name}: {dataset} is left out, as not all runs have it.'
        for r in results
        for dataset in r.sets
        if dataset not in used
    ]
    html = render_report(results, comparisons, origins, left_out + missing, size or PictureSize())
    write_text_atomically(html, page)
    table = MARKDOWN.tables(comparisons)
    grid = '' if missing else f'\n\n![pictures]({page.stem}.png)'
    write_text_atomically(f'{table}{grid}\n', page.with_suffix('.md'))
    latex = LATEX.tables(comparisons)
    write_text_atomically(f'% Needs \\usepackage{{booktabs}}.\n{latex}\n', page.with_suffix('.tex'))
    if not missing:
        write_image(page.with_suffix('.png'), picture_grid(results))
    words = '\n'.join(map(describe_steps, comparisons))
    return Report(table, page, words, missing)
