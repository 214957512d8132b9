"""The analysis of a study as Markdown, JSON and a plot."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from iqasr.runtime.atomic_files import write_json, write_text_atomically
from iqasr.user_study.analysis import Analysis, Rate, Rater, Strength, analyse
from iqasr.user_study.manifest import read_manifest
from iqasr.user_study.votes import LEAST_CAUGHT, read_ballots


def analyse_study(
    manifest_path: str, vote_paths: Sequence[str], target: str, least_caught: float = LEAST_CAUGHT
) -> str:
    """Analyse a study and write ``summary.md``, ``summary.json`` and ``strengths.png``.

    Args:
        manifest_path: The ``study.json`` beside the page.
        vote_paths: Files that raters have downloaded.
        target: Folder to write to.
        least_caught: See `analyse`.

    Returns:
        The Markdown.

    Raises:
        DataError: If a file cannot be used, or no vote is left.
    """
    manifest = read_manifest(Path(manifest_path))
    analysis = analyse(
        manifest, read_ballots([Path(path) for path in vote_paths], manifest), least_caught
    )
    text, root = markdown(analysis), Path(target)
    root.mkdir(parents=True, exist_ok=True)
    plot_strengths(analysis.strengths, root / 'strengths.png')
    write_json(asdict(analysis), root / 'summary.json')
    write_text_atomically(text, root / 'summary.md')
    return text


def markdown(analysis: Analysis) -> str:
    """Write the analysis for people."""
    left, agreement = analysis.left, 'unknown, no pair has two votes'
    if analysis.agreement is not None:
        agreement = f'{analysis.agreement:.3f}'
    included = [rater for rater in analysis.raters if rater.included]
    strengths = [
        f'| {s.method} | {s.strength:+.2f} | [{s.low:+.2f}, {s.high:+.2f}] |'
        for s in analysis.strengths
    ]
    preferences = [
        f'| {p.method} | {p.other} | {p.rate.rate:.1%} | {interval(p.rate)} | {p.rate.votes} |'
        for p in analysis.preferences
    ]
    lines = [
        f'# User study {analysis.study}',
        '',
        f'{left.votes} votes of {len(included)} raters on {analysis.sources} images.',
        '',
        '| method | strength | 95 % interval |',
        '|---|---|---|',
        *strengths,
        '',
        'Bradley-Terry strengths, mean 0: a method is preferred to one that is weaker by 1 in 73 % '
        'of votes. Intervals from resampled raters and images.',
        '',
        '| preferred | to | rate | 95 % interval | votes |',
        '|---|---|---|---|---|',
        *preferences,
        '',
        'Wilson intervals, for independent votes.',
        '',
        '- Agreement between raters (Krippendorff alpha, 0 is chance): ' + agreement,
        f'- The left (or upper) image was chosen in {left.rate:.1%} of votes, {interval(left)}',
        '',
        *rater_table(analysis.raters),
        '',
        '![strengths](strengths.png)',
    ]
    return '\n'.join(lines) + '\n'


def rater_table(raters: Sequence[Rater]) -> list[str]:
    """List the raters and say who is left out."""
    lines = [
        '| rater | votes | catch trials right | repeats consistent | |',
        '|---|---|---|---|---|',
    ]
    for rater in raters:
        r, note = rater.reliability, '' if rater.included else 'left out'
        lines.append(
            f'| {rater.name} | {rater.votes} | {r.caught} of {r.catch} | '
            f'{r.consistent} of {r.repeats} | {note} |'
        )
    return lines


def interval(rate: Rate) -> str:
    """Print an interval."""
    return f'[{rate.low:.1%}, {rate.high:.1%}]'


def plot_strengths(strengths: Sequence[Strength], path: Path) -> None:
    """Draw strengths with their intervals, the strongest on top."""
    from matplotlib.figure import Figure

    figure = Figure((6.4, 1.2 + 0.4 * len(strengths)), dpi=150, layout='constrained')
    axes = figure.subplots()
    axes.axvline(0, color='0.8', linewidth=1)
    for row, s in enumerate(strengths):
        axes.plot([s.low, s.high], [row, row], color='C0', linewidth=2)
        axes.plot(s.strength, row, 'o', color='C0')
    axes.set_yticks(range(len(strengths)), [s.method for s in strengths])
    axes.set_ylim(len(strengths) - 0.5, -0.5)
    axes.set_xlabel('Bradley-Terry strength, 95 % interval')
    axes.spines[['top', 'right']].set_visible(False)
    figure.savefig(path)
