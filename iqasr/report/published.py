"""Published figures of pretrained networks, measured again."""

import csv
import json
import logging
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from iqasr.data.files.image_files import decode_rgb
from iqasr.enhancement.sample_dataset import write_pair
from iqasr.evaluation.result_folder import ResultFolder, read_result_folder
from iqasr.options.file import read_yaml
from iqasr.registry import nearest
from iqasr.report.commands import run_command
from iqasr.report.table import format_difference, format_number
from iqasr.runtime.errors import DataError, OptionError
from iqasr.runtime.markdown import markdown_table
from iqasr.runtime.paths import resolve

logger = logging.getLogger('iqasr')

METRICS = {'psnr': 2, 'ssim': 4}
"""What is published, and its number of decimals."""


class PublishedRow(NamedTuple):
    """The published figures of a network on a test set."""

    option_file: Path
    set: str
    figures: dict[str, float]

    @property
    def network(self) -> str:
        """Name of the option file, which is that of the network."""
        return self.option_file.stem

    @property
    def name(self) -> str:
        """Name of its results."""
        return f'{self.network}_{self.set}'


def read_published(table: Path) -> list[PublishedRow]:
    """Read published figures.

    Args:
        table: CSV with a line per network and test set: ``option_file`` (in the folder of the
            table), ``set``, ``psnr``, ``ssim``, ``source``.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        with table.open(encoding='utf-8', newline='') as file:
            return [
                PublishedRow(
                    table.parent / line['option_file'],
                    line['set'],
                    {metric: float(line[metric]) for metric in METRICS},
                )
                for line in csv.DictReader(file)
            ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f'{table}: is no table of published figures ({error!r}).') from error


def reproduce(
    table: str | Path, source: str | Path, root: str | Path, only: Collection[str] = ()
) -> str:
    """Test networks on the benchmarks of their papers; what is done is not done again.

    Args:
        table: Published figures, as `read_published` reads them; tests run in the order of its
            lines.
        source: A clone of https://github.com/jbhuang0604/SelfExSR, whose ``data`` are the images.
        root: Folder of the results, ``<root>/results/<network>_<set>``.
        only: Networks and test sets to run; default all.

    Returns:
        A table in Markdown: measured beside published. Sets without result are left out.

    Raises:
        OptionError: If `only` names something that is not in the table.
        DataError: If the table or images cannot be read.
        RuntimeError: If a test fails.
    """
    rows = read_published(resolve(table))
    known = {name for row in rows for name in (row.network, row.set)}
    if unknown := sorted(set(only) - known):
        raise OptionError(f'{unknown[0]}: is not in {table}.{nearest(unknown[0], known)}')
    networks, sets = ({getattr(r, key) for r in rows} & set(only) for key in ('network', 'set'))
    for row in rows:
        wanted = row.network in (networks or known) and row.set in (sets or known)
        if wanted and find_results(row, Path(root)) is None:
            measure_published(row, Path(source), Path(root))
    return compare_with_published(rows, Path(root))


def find_results(row: PublishedRow, root: Path) -> ResultFolder | None:
    """Read the results of a test; None if it was not done."""
    folder = root / 'results' / row.name
    return read_result_folder(folder) if (folder / 'summary.json').is_file() else None


def measure_published(row: PublishedRow, source: Path, root: Path) -> None:
    """Test a network on one set, whose images are made first if they are not there.

    Raises:
        DataError: If there are no images.
        OptionError: If the option file has no such set.
        RuntimeError: If the test fails.
    """
    options = read_yaml(row.option_file)
    sections = [s for s in options['datasets'].values() if s['name'] == row.set]
    if not sections:
        raise OptionError(f'{row.option_file}: has no test set {row.set}.')
    pairs = resolve(sections[0]['dataroot_gt']).parent
    if not pairs.is_dir():
        make_pairs(source / 'data' / row.set, pairs, options['scale'])
    logger.info('%s: tested now.', row.name)
    section = json.dumps({'test': sections[0]})
    overrides = [f'name={row.name}', f'path:root={root.resolve()}', f'datasets={section}']
    run_command('test', row.option_file, overrides, '--auto_resume')


def make_pairs(images: Path, target: Path, scale: int) -> None:
    """Cut the ground truths of a benchmark to a multiple of the scale, and reduce them.

    The reduction is BasicSR's ``imresize``, which is MATLAB's; the inputs in SelfExSR differ from
    it along the border. Of each image, the ground truth is taken that is largest after the cut,
    whichever scale it is for. Papers test on Urban100 at full size: SelfExSR has it for x4; its
    ground truths for x2 are half as large, and there are none for x3.

    Args:
        images: Folder of the benchmark, with ``image_SRF_<scale>/<name>_SRF_<scale>_HR.png``.
        target: Folder that receives ``gt`` and ``lq_x<scale>``.
        scale: By how much.

    Raises:
        DataError: If there are no images, or one cannot be decoded.
    """
    files = sorted(images.glob('image_SRF_*/*_HR.png'))
    if not files:
        raise DataError(
            f'{images}: holds no image_SRF_{scale}/*_HR.png. Name a clone of '
            'https://github.com/jbhuang0604/SelfExSR.'
        )
    files.sort(key=lambda file: file.parent.name != f'image_SRF_{scale}')  # its own win a tie
    largest: dict[str, np.ndarray] = {}
    areas: dict[str, int] = {}
    for file in files:
        name = file.stem.partition('_SRF_')[0]
        image = decode_rgb(file.read_bytes(), str(file))
        area = (image.shape[0] // scale) * (image.shape[1] // scale)
        if area > areas.get(name, 0):
            largest[name], areas[name] = image, area
    partial = target.with_name(f'{target.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    for name, image in largest.items():
        write_pair(partial, name, image, scale)
    os.replace(partial, target)


def compare_with_published(rows: Collection[PublishedRow], root: Path) -> str:
    """Write the measured figures of a folder beside published ones, in Markdown."""
    lines = []
    for row in rows:
        results = find_results(row, root)
        if results is None:
            continue
        means, files = results.sets[row.set]['means'], results.sets[row.set]['files']
        cells = [row.network, row.set, str(len(files))]
        for metric, digits in METRICS.items():
            difference = means[metric] - row.figures[metric]
            cells += [
                format_number(means[metric], '', digits + 1),
                format_number(row.figures[metric], '', digits),
                format_difference(difference),
            ]
        lines.append(cells)
    kinds = (', measured', ', published', ', difference')
    heads = [f'{metric.upper()}{kind}' for metric in METRICS for kind in kinds]
    return markdown_table(['network', 'test set', 'images', *heads], lines)
