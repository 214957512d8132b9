"""The analysis from files to a folder of results."""

from collections.abc import Sequence
from pathlib import Path

from iqasr.analysis.analysis import analyse_panel
from iqasr.analysis.bootstrap import RESAMPLES
from iqasr.analysis.opinions import has_opinions, read_opinions, write_correlations
from iqasr.analysis.pairs import PairSet, image_set, read_pairs
from iqasr.analysis.panel import score_by_panel
from iqasr.analysis.report import write_analysis
from iqasr.checking.components import scorer_sections
from iqasr.runtime.distributed import joined_processes


def analyse_metrics(
    source: str | PairSet,
    scorers: Sequence[str],
    output: str,
    *,
    least_margin: float = 0.0,
    resamples: int = RESAMPLES,
    batch: int = 8,
    cpu: bool = False,
) -> tuple[str, dict[str, str]]:
    """Analyse how scorers agree with people; under ``torchrun``, the processes share the scoring.

    Args:
        source: Pairs, or their source as in `read_pairs`, or a CSV file of mean opinion scores as
            in `read_opinions`.
        scorers: As in `scorer_sections`.
        output: Folder for scores and results.
        least_margin: As in `analyse_panel`, as is `resamples`.
        batch: As in `score_by_panel`.
        cpu: Do not use the GPU.

    Returns:
        The report, Markdown, and why scorers were left out, by word. Both are empty in all
        processes but the first.

    Raises:
        DataError: As `read_pairs`, `read_opinions`, `score_by_panel` and `analyse_panel`.
        OptionError: As `scorer_sections`.
    """
    sections = scorer_sections(scorers)
    if isinstance(source, PairSet) or not has_opinions(source):
        pairs = source if isinstance(source, PairSet) else read_pairs(source)
        opinions, images = None, pairs.images()
    else:
        opinions = read_opinions(source)
        images = image_set((opinion.source_id, opinion.path) for opinion in opinions)
    folder = Path(output)
    with joined_processes(cpu=cpu) as process:
        panel, failures = score_by_panel(
            images, sections, folder / 'scores', batch=batch, process=process
        )
        if not process.is_main:
            return '', {}  # torchrun ends all processes when one ends with an error
        if opinions is not None:
            return write_correlations(opinions, panel, folder, resamples), failures
        analysis = analyse_panel(pairs.pairs, panel, least_margin=least_margin, resamples=resamples)
        return write_analysis(analysis, folder), failures
