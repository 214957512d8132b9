"""Mean opinion scores (MOS) of single images, and how scorers correlate with them.

Source:
    VQEG (2003), Final report on the validation of objective models of video quality assessment,
    phase II: the coefficients, and the logistic curve before PLCC. Written here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit

from iqasr.analysis.bootstrap import Estimate, SourceBootstrap
from iqasr.analysis.correlation import kendall, pearson, spearman
from iqasr.analysis.pairs import image_set, lines_of
from iqasr.analysis.panel import Judge
from iqasr.analysis.report import csv_of, markdown, spread_out
from iqasr.data.candidates.candidate_set import CandidateSet
from iqasr.data.files.readers import FileReader
from iqasr.runtime.atomic_files import write_json, write_text_atomically
from iqasr.runtime.errors import DataError

COLUMNS = ('path', 'mos')


class Opinion(NamedTuple):
    """An image, and what people think of it on average."""

    path: str
    mos: float
    """Higher is better, any scale."""
    source_id: str
    """The photograph it comes from. Images of one source are not independent."""


def holds_opinions(path: str) -> bool:
    """Tell a CSV file of opinions from one of pairs, by its first line."""
    if not Path(path).is_file():
        return False
    with open(path, encoding='utf-8-sig', errors='replace') as file:
        return 'mos' in file.readline().replace('"', '').strip().split(',')


def read_opinions(path: str) -> list[Opinion]:
    """Read a CSV file with the columns ``path``, ``mos`` and, if there is one, ``source_id``.

    Args:
        path: The file. Paths in it are relative to its folder; an image without ``source_id`` is a
            source of its own.

    Raises:
        DataError: With every line that is wrong; or if there are fewer than two sources.
    """
    folder, problems, opinions = Path(path).parent, [], []
    for number, row in lines_of(path, COLUMNS):
        file = folder / row['path']
        if not file.is_file():
            reason = 'there is no such file. Correct path, or remove the line.'
            problems.append(f'{path}, line {number}: {file}: {reason}')
        try:
            mos = float(row['mos'])
        except ValueError:
            mos = np.nan
        if not np.isfinite(mos):
            problems.append(f"{path}, line {number}: mos is '{row['mos']}'; give a number.")
        opinions.append(Opinion(str(file), mos, row.get('source_id') or row['path']))
    if len({opinion.source_id for opinion in opinions}) < 2:
        problems.append(f'{path}: all images are of one source; give at least two.')
    if problems:
        raise DataError(problems)
    return opinions


def images_of(opinions: Sequence[Opinion]) -> CandidateSet:
    """All images, those of one source in one group."""
    return image_set([(o.source_id, o.path) for o in opinions], FileReader())


def correlations(
    opinions: Sequence[Opinion], judge: Judge, resamples: int
) -> dict[str, Estimate | int]:
    """Correlate a scorer with opinions, over the images for which it finds a score.

    Returns:
        ``images``, their number, and ``srocc``, ``krocc`` and ``plcc``, the last after a logistic
        curve that is fitted once to all images, with intervals over sources; NaN where they have
        fewer than two sources.
    """
    quality = np.array([judge.quality[opinion.path] for opinion in opinions], float)
    scored = np.isfinite(quality)
    quality, mos = quality[scored], np.array([opinion.mos for opinion in opinions])[scored]
    sources = np.array([opinion.source_id for opinion in opinions])[scored]
    if len(np.unique(sources)) < 2:
        nothing = Estimate(np.nan, np.nan, np.nan)
        return {'images': len(mos), 'srocc': nothing, 'krocc': nothing, 'plcc': nothing}
    bootstrap = SourceBootstrap(sources, resamples)
    return {
        'images': len(mos),
        'srocc': bootstrap.estimate(spearman(quality, mos, bootstrap)),
        'krocc': bootstrap.estimate(kendall(quality, mos, bootstrap)),
        'plcc': bootstrap.estimate(pearson(fitted(quality, mos), mos, bootstrap)),
    }


def fitted(quality: np.ndarray, mos: np.ndarray) -> np.ndarray:
    r"""Map quality to opinions by :math:`l + (h - l) / (1 + e^{-(q - c) / w})`, least squares.

    Returns:
        The mapped quality; if all quality is the same, as it is.
    """
    if np.ptp(quality) == 0:
        return quality
    scaled = (quality - quality.mean()) / quality.std()

    def curve(parameters: np.ndarray) -> np.ndarray:
        low, high, centre, log_width = parameters
        return low + (high - low) * expit((scaled - centre) / np.exp(log_width))

    best = least_squares(lambda p: curve(p) - mos, (mos.min(), mos.max(), 0, 0))
    return curve(best.x)


def write_correlations(
    opinions: Sequence[Opinion], judges: Sequence[Judge], folder: Path, resamples: int
) -> str:
    """Correlate every scorer; write ``report.md``, ``agreement.csv`` and ``analysis.json``.

    Returns:
        The report, Markdown.
    """
    found = {judge.name: correlations(opinions, judge, resamples) for judge in judges}
    best_first = sorted(found, key=lambda name: -np.nan_to_num(found[name]['srocc'].value, nan=-2))
    kinds = ('srocc', 'krocc', 'plcc')
    table = markdown(
        ['scorer', *(kind.upper() for kind in kinds), 'images'],
        [
            [n, *(str(found[n][kind]) for kind in kinds), str(found[n]['images'])]
            for n in best_first
        ],
    )
    sources = len({opinion.source_id for opinion in opinions})
    text = (
        f'Mean opinion scores of {len(opinions)} images from {sources} sources. In brackets: 95 % '
        f'intervals over sources. PLCC after a logistic curve.\n\n{table}\n'
    )
    rows = [
        {'scorer': name, 'images': of['images'], **spread_out({kind: of[kind] for kind in kinds})}
        for name, of in found.items()
    ]
    about = {'images': len(opinions), 'sources': sources, 'agreement': rows}
    write_json(about, folder / 'analysis.json')
    write_text_atomically(csv_of(rows), folder / 'agreement.csv')
    write_text_atomically(text, folder / 'report.md')
    return text
