"""Correlation of scorers with mean opinion scores (MOS) of single images.

Source:
    VQEG (2003), Final report on the validation of objective models of video quality assessment,
    phase II: the coefficients, and the logistic curve before PLCC. Written here.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit

from iqasr.analysis.bootstrap import UNKNOWN, Estimate, SourceBootstrap
from iqasr.analysis.correlation import correlate
from iqasr.analysis.opinions import Opinion
from iqasr.analysis.panel import PanelScorer
from iqasr.analysis.report import as_columns
from iqasr.runtime.atomic_files import write_csv, write_json, write_text_atomically
from iqasr.runtime.markdown import markdown_table

COEFFICIENTS = ('srocc', 'krocc', 'plcc')


def correlate_opinions(
    opinions: Sequence[Opinion], scorer: PanelScorer, resamples: int
) -> dict[str, Estimate | int]:
    """Correlate a scorer with opinions, over the images for which it has a score.

    Returns:
        ``images``, their number, and the `COEFFICIENTS`. ``plcc`` follows a logistic curve that is
        fitted once to all images. NaN where the images have fewer than two sources.
    """
    quality = np.array([scorer.quality[opinion.path] for opinion in opinions], float)
    scored = np.isfinite(quality)
    quality, mos = quality[scored], np.array([opinion.value for opinion in opinions])[scored]
    sources = np.array([opinion.source_id for opinion in opinions])[scored]
    if len(np.unique(sources)) < 2:
        return {'images': len(mos), **dict.fromkeys(COEFFICIENTS, UNKNOWN)}
    bootstrap = SourceBootstrap(sources, resamples)
    return {
        'images': len(mos),
        **correlate(quality, mos, bootstrap, linearised=map_to_opinions(quality, mos)),
    }


def map_to_opinions(quality: np.ndarray, mos: np.ndarray) -> np.ndarray:
    r"""Map quality to opinions by :math:`l + (h - l) / (1 + e^{-(q - c) / w})`, least squares.

    Returns:
        The mapped quality; a constant quality is returned as it is.
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
    opinions: Sequence[Opinion], scorers: Sequence[PanelScorer], folder: Path, resamples: int
) -> str:
    """Correlate every scorer; write ``report.md``, ``agreement.csv`` and ``analysis.json``.

    Returns:
        The report, Markdown.
    """
    found = {scorer.name: correlate_opinions(opinions, scorer, resamples) for scorer in scorers}
    best_first = sorted(found, key=lambda name: -np.nan_to_num(found[name]['srocc'].value, nan=-2))
    keys = (*COEFFICIENTS, 'images')
    table = markdown_table(
        ['scorer', *(kind.upper() for kind in COEFFICIENTS), 'images'],
        [[name, *(str(found[name][key]) for key in keys)] for name in best_first],
    )
    sources = len({opinion.source_id for opinion in opinions})
    text = (
        f'Mean opinion scores of {len(opinions)} images from {sources} sources. In brackets: 95 % '
        f'intervals over sources. PLCC after a logistic curve.\n\n{table}\n'
    )
    rows = [
        {'scorer': name, 'images': of['images'], **as_columns({k: of[k] for k in COEFFICIENTS})}
        for name, of in found.items()
    ]
    counts = {'images': len(opinions), 'sources': sources}
    write_json(counts | {'agreement': rows}, folder / 'analysis.json')
    write_csv(list(rows[0]), rows, folder / 'agreement.csv')
    write_text_atomically(text, folder / 'report.md')
    return text
