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
from iqasr.analysis.report import PLCC_NOTE, as_columns
from iqasr.runtime.atomic_files import write_csv, write_json, write_text_atomically
from iqasr.runtime.markdown import markdown_table

COEFFICIENTS = ('srocc', 'krocc', 'plcc')


def correlate_opinions(
    opinions: Sequence[Opinion], scorer: PanelScorer, resamples: int
) -> dict[str, Estimate | int]:
    """Correlate a scorer with opinions, over the images for which it has a score.

    Returns:
        ``images``, their number, and the `COEFFICIENTS`; NaN where the images have fewer than two
        sources. ``plcc`` follows a rising logistic curve, and is 0 where none is nearer to the
        opinions than a constant, as for a scorer that people contradict. The curve is fitted once,
        to all images, and its freedom is not in the interval: that of a scorer unrelated to the
        opinions lies above 0 in 10 to 18 % of cases instead of 2.5 % (measured, 40 and 120 images);
        the best curve of every resample does so in a third of them or more. Believe ``srocc``.
    """
    quality = np.array([scorer.quality[opinion.path] for opinion in opinions], float)
    scored = np.isfinite(quality)
    quality, mos = quality[scored], np.array([opinion.value for opinion in opinions])[scored]
    sources = np.array([opinion.source_id for opinion in opinions])[scored]
    if len(np.unique(sources)) < 2:
        return {'images': len(mos), **dict.fromkeys(COEFFICIENTS, UNKNOWN)}
    bootstrap = SourceBootstrap(sources, resamples)
    mapped = map_to_opinions(quality, mos)
    found = correlate(quality, mos, bootstrap, linearised=mapped)
    if np.ptp(mapped) == 0:
        found['plcc'] = Estimate(0.0, 0.0, 0.0) if np.ptp(quality) and np.ptp(mos) else UNKNOWN
    return {'images': len(mos), **found}


def map_to_opinions(quality: np.ndarray, mos: np.ndarray) -> np.ndarray:
    r"""Map quality to opinions by :math:`l + s / (1 + e^{-(q - c) / w})`, least squares, s >= 0.

    Returns:
        The mapped quality. It is the mean opinion where no such curve is better than that.
    """
    constant = np.full_like(quality, mos.mean())
    if np.ptp(quality) == 0 or np.ptp(mos) == 0:
        return constant
    scaled = (quality - quality.mean()) / quality.std()

    def curve(parameters: np.ndarray) -> np.ndarray:
        low, span, centre, log_width = parameters
        return low + span * expit((scaled - centre) / np.exp(log_width))

    least = (-np.inf, 0, -np.inf, -np.inf)  # a falling curve would turn a wrong scorer's PLCC round
    start = (mos.min(), np.ptp(mos), 0, 0)
    mapped = curve(least_squares(lambda p: curve(p) - mos, start, bounds=(least, np.inf)).x)
    # What explains less than a millionth of the variance is a flat curve, near the bound.
    return mapped if np.var(mos - mapped) < (1 - 1e-6) * np.var(mos) else constant


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
        f'intervals over sources. {PLCC_NOTE}\n\n{table}\n'
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
