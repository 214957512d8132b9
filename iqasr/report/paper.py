"""The paper's main table: the progress of each row on this disk, and our figures beside theirs.

Source:
    Zhang et al. (CVPR 2025), Augmenting Perceptual Super-Resolution via Image Quality Predictors,
    main table (HGGT's Test-100, x4), as quoted in third-party notes on the paper, which agree with
    each other but were not compared with the paper itself. LPIPS-ST is taken to be ``stlpips`` of
    pyiqa, and the other columns its metrics of these names, by the range of their values.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iqasr.data.candidates.candidate_set import open_candidates
from iqasr.data.scores.quality_table import QualityTable
from iqasr.evaluation.result_folder import read_result_folder
from iqasr.options.file import read_yaml
from iqasr.report.table import ARROWS, format_number
from iqasr.runtime.errors import DataError
from iqasr.runtime.markdown import markdown_table
from iqasr.runtime.paths import project_root
from iqasr.sampling.labels import Label

logger = logging.getLogger('iqasr')


@dataclass(frozen=True)
class PaperMetric:
    """A metric of the table: heading, direction, and number of decimals."""

    title: str
    better: str
    digits: int = 2


PAPER_METRICS = {
    'psnr': PaperMetric('PSNR', 'higher'),
    'stlpips': PaperMetric('LPIPS-ST', 'lower', 3),
    'musiq': PaperMetric('MUSIQ', 'higher'),
    'nima': PaperMetric('NIMA', 'higher'),
    'qalign': PaperMetric('Q-Align', 'higher'),
    'topiq_nr': PaperMetric('TOPIQ', 'higher'),
}
"""By name in ``summary.json``."""

NO_REFERENCE = ('musiq', 'nima', 'qalign', 'topiq_nr')

BACKBONES = {'swinir': 'SwinIR', 'rrdb': 'RESRGAN'}

STAGES = {
    'pretrain': 'L1',
    'uniform_positives': 'UPos',
    'sma': 'SMA',
    'smp': 'SMP',
    'amo': 'AMO',
    'uniform_positives_finetune': 'UPos+FT',
    'amo_finetune': 'AMO+FT',
    'amo_finetune_ig': 'AMO+FT_IG',
    'amo_finetune_hp': 'AMO+FT_HP',
}

GOLD_STANDARD = 'Gold Standard'

PUBLISHED = {
    'SwinIR-UPos': (22.30, 0.129, 66.39, 5.16, 3.56, 0.62),
    'SwinIR-AMO': (22.08, 0.124, 68.08, 5.21, 3.67, 0.66),
    'SwinIR-AMO+FT': (21.77, 0.121, 70.81, 5.29, 3.75, 0.70),
    GOLD_STANDARD: (math.nan, math.nan, 69.64, 5.28, 3.78, 0.69),
    'RESRGAN-UPos': (21.54, 0.192, 65.93, 5.25, 3.47, 0.63),
    'RESRGAN-AMO+FT': (21.02, 0.169, 71.67, 5.35, 3.68, 0.71),
}
"""In the order of `PAPER_METRICS`; NaN where the paper has no figure."""

TEST_SET = 'Test-100'
DOWNLOAD = 'download HGGT, see options/paper/README.md'


@dataclass(frozen=True)
class PaperRow:
    """A network of the table, trained by one option file.

    Args:
        title: Name in the paper.
        name: Name of the run, ``experiments/<name>``.
        option_file: Option file that trains it, relative to the project.
        test_file: Option file that tests it, likewise.
    """

    title: str
    name: str
    option_file: str
    test_file: str


def paper_rows() -> list[PaperRow]:
    """List the networks, each after the one from which it starts."""
    rows = []
    for backbone, published in BACKBONES.items():
        for stage, title in STAGES.items():
            name = f'{backbone}_{stage}_x4'
            folder = 'paper' if stage == 'uniform_positives_finetune' else 'train'
            files = f'options/{folder}/{name}.yml', f'options/paper/{backbone}_test100_x4.yml'
            rows.append(PaperRow(f'{published}-{title}', name, *files))
    return rows


@dataclass(frozen=True)
class RowStatus:
    """The progress of a row.

    Args:
        data: Whether its training data exist.
        start: Whether the weights exist from which it starts; None if it starts from scratch.
        trained: Whether its own final weights exist.
        figures: Its results by metric; empty until it is tested.
        next_step: The next command; empty if nothing is left to do.
    """

    data: bool
    start: bool | None
    trained: bool | None
    figures: Mapping[str, float]
    next_step: str


def find_status(row: PaperRow, root: Path) -> RowStatus:
    """Find the progress of a row.

    Args:
        row: The row.
        root: Folder of ``options/``, ``experiments/``, ``results/`` and relative paths.

    Raises:
        OptionError: If its option files cannot be read.
    """
    options, test = (read_yaml(root / file) for file in (row.option_file, row.test_file))
    train = options['datasets']['train']
    source, table = train['dataroot_gt'], train.get('quality', {}).get('table')
    before = options['path'].get('pretrain_network_g')
    weights = f'experiments/{row.name}/models/net_g_latest.pth'
    data = (root / source).is_dir()
    start = (root / before).is_file() if before else None
    trained = (root / weights).is_file()
    figures = read_figures(root / 'results' / f'{row.name}_test100')
    tested_on = test['datasets']['test']
    if figures:
        step = ''
    elif trained and all((root / tested_on[d]).is_dir() for d in ('dataroot_gt', 'dataroot_lq')):
        step = (
            f'python iqasr/test.py -opt {row.test_file} --checkpoints {weights} '
            f'--force_yml name={row.name}_test100'
        )
    elif trained or not data:
        step = DOWNLOAD
    elif start is False:
        step = f'train {Path(before).parts[-3]} first'
    elif table and not (root / table).is_file():
        step = f'python scripts/score_candidates.py -i {source} --scorer musiq'
    else:
        step = f'python iqasr/train.py -opt {row.option_file} --auto_resume'
    return RowStatus(data, start, trained, figures, step)


def read_figures(folder: Path) -> dict[str, float]:
    """Read the means on Test-100 from a result folder; none if it has no such results."""
    if not (folder / 'summary.json').exists():
        return {}
    try:
        means: dict[str, Any] = read_result_folder(folder).sets[TEST_SET]['means']
        return {metric: float(means[metric]) for metric in PAPER_METRICS if metric in means}
    except (DataError, KeyError, TypeError, ValueError) as error:
        logger.warning('%s: not used, it has no figures on %s (%s).', folder, TEST_SET, error)
        return {}


def measure_gold_standard(root: Path) -> RowStatus:
    """Compute the figures of the ground truths of Test-100 themselves, from their quality tables.

    The paper's definition was not found. Here it is the mean over the positives of an image, then
    over the images, of whole ground truths.

    Args:
        root: As in `find_status`.
    """
    test = read_yaml(root / f'options/paper/{next(iter(BACKBONES))}_test100_x4.yml')
    source = test['datasets']['test']['dataroot_gt']
    if not (root / source).is_dir():
        return RowStatus(False, None, None, {}, DOWNLOAD)
    tables = {m: root / source / f'quality_{m}.csv' for m in NO_REFERENCE}
    missing = [metric for metric, path in tables.items() if not path.is_file()]
    score = f'python scripts/score_candidates.py -i {source} --scorer {missing[0]}' * bool(missing)
    figures = {}
    try:
        groups = open_candidates(str(root / source)).groups
        for metric in tables.keys() - set(missing):
            table = QualityTable.read(str(tables[metric]))
            means = []
            for group in groups:
                positive = [label is Label.POSITIVE for label in group.labels]
                if any(positive):
                    means.append(table.rows(group.key, group.names)[0, positive].nanmean().item())
            figures[metric] = sum(means) / len(means) if means else math.nan
    except (OSError, ValueError) as error:
        logger.warning('%s: no gold standard. %s', source, error)
    return RowStatus(True, None, None, figures, score)


def paper_table(root: Path | None = None) -> str:
    """Write the progress and the figures of every row.

    Args:
        root: As in `find_status`; default the project.

    Returns:
        Two tables in Markdown. In the second, published figures are in brackets.

    Raises:
        OptionError: If an option file is missing or cannot be read.
    """
    root = root or project_root()
    found = {row.title: find_status(row, root) for row in paper_rows()}
    found[GOLD_STANDARD] = measure_gold_standard(root)
    done = []
    for title, s in found.items():
        parts = (s.data, s.start, s.trained, bool(s.figures))
        step = f'`{s.next_step}`' if s.next_step.startswith('python') else s.next_step
        done.append([title, *('-' if p is None else 'yes' if p else 'no' for p in parts), step])
    figures = [
        [title, *figure_cells(s.figures, PUBLISHED.get(title))] for title, s in found.items()
    ]
    heads = [f'{metric.title}{ARROWS[metric.better]}' for metric in PAPER_METRICS.values()]
    return '\n\n'.join(
        [
            markdown_table(['row', 'data', 'start', 'trained', 'evaluated', 'next'], done),
            markdown_table([f'{TEST_SET}: ours (published)', *heads], figures),
        ]
    )


def figure_cells(ours: Mapping[str, float], published: tuple[float, ...] | None) -> list[str]:
    """Format the figures of a row.

    Example:
        >>> figure_cells({'psnr': 22.314}, PUBLISHED['SwinIR-UPos'])[:2]
        ['22.31 (22.30)', '- (0.129)']
    """
    written = []
    for number, (name, metric) in enumerate(PAPER_METRICS.items()):
        figures = ours.get(name, math.nan), published[number] if published else math.nan
        own, other = (format_number(figure, '', metric.digits) for figure in figures)
        written.append(own if other == '-' else f'{own} ({other})')
    return written
