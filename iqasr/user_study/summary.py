"""Summary of a study: Markdown, JSON and a plot."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from iqasr.analysis.plots import save_figure
from iqasr.runtime.atomic_files import write_json, write_text_atomically
from iqasr.runtime.markdown import escape_markdown, markdown_table
from iqasr.user_study.analysis import Rate, Strength, StudyAnalysis, analyse_votes
from iqasr.user_study.manifest import read_manifest
from iqasr.user_study.votes import LEAST_CAUGHT, read_ballots


def analyse_study(
    manifest_path: str, vote_paths: Sequence[str], target: str, least_caught: float = LEAST_CAUGHT
) -> str:
    """Analyse a study and write ``summary.md``, ``summary.json`` and ``strengths.png``.

    Args:
        manifest_path: ``study.json`` of the study.
        vote_paths: Files that raters downloaded.
        target: Folder to write to.
        least_caught: See `analyse_votes`.

    Returns:
        The Markdown.

    Raises:
        DataError: If a file cannot be used, or no vote is left.
    """
    manifest = read_manifest(Path(manifest_path))
    ballots = read_ballots([Path(path) for path in vote_paths], manifest)
    analysis = analyse_votes(manifest, ballots, least_caught)
    text, root = summary_text(analysis), Path(target)
    write_text_atomically(text, root / 'summary.md')
    write_json(asdict(analysis), root / 'summary.json')
    write_strengths(root / 'strengths.png', analysis.strengths)
    return text


def summary_text(analysis: StudyAnalysis) -> str:
    """Write the summary in Markdown."""
    left, agreement = analysis.left, 'unknown, no pair has two votes'
    if analysis.agreement is not None:
        agreement = f'{analysis.agreement:.3f}'
    included = [rater for rater in analysis.raters if rater.included]
    parts = [
        f'# User study {escape_markdown(analysis.study)}',
        f'{left.votes} votes of {len(included)} raters on {analysis.sources} images.',
        markdown_table(
            ['method', 'strength', '95 % interval'],
            [
                [escape_markdown(s.method), f'{s.strength:+.2f}', f'[{s.low:+.2f}, {s.high:+.2f}]']
                for s in analysis.strengths
            ],
        ),
        'Bradley-Terry strengths, mean 0: a method is preferred to one that is weaker by 1 in 73 % '
        'of votes. Intervals from resampled raters and images.',
        markdown_table(
            ['preferred', 'to', 'rate', '95 % interval', 'votes'],
            [
                [
                    escape_markdown(p.method),
                    escape_markdown(p.other),
                    f'{p.rate.rate:.1%}',
                    interval_text(p.rate),
                    str(p.rate.votes),
                ]
                for p in analysis.preferences
            ],
        ),
        'Wilson intervals, for independent votes.',
        f'- Agreement between raters (Krippendorff alpha, 0 is chance): {agreement}\n'
        f'- The left (or upper) image was chosen in {left.rate:.1%} of votes, '
        f'{interval_text(left)}',
        markdown_table(
            ['rater', 'votes', 'catch trials right', 'repeats consistent', ''],
            [
                [
                    escape_markdown(rater.name),
                    str(rater.votes),
                    f'{rater.reliability.caught} of {rater.reliability.catch}',
                    f'{rater.reliability.consistent} of {rater.reliability.repeats}',
                    '' if rater.included else 'left out',
                ]
                for rater in analysis.raters
            ],
        ),
        '![strengths](strengths.png)',
    ]
    return '\n\n'.join(parts) + '\n'


def interval_text(rate: Rate) -> str:
    """Format the interval of a rate."""
    return f'[{rate.low:.1%}, {rate.high:.1%}]'


def write_strengths(path: Path, strengths: Sequence[Strength]) -> None:
    """Draw strengths with their intervals, the strongest on top."""
    from matplotlib.figure import Figure

    figure = Figure((6.4, 1.2 + 0.4 * len(strengths)), layout='constrained')
    axes = figure.subplots()
    axes.axvline(0, color='0.8', linewidth=1)
    for row, s in enumerate(strengths):
        axes.plot([s.low, s.high], [row, row], color='C0', linewidth=2)
        axes.plot(s.strength, row, 'o', color='C0')
    axes.set_yticks(range(len(strengths)), [s.method for s in strengths])
    axes.set_ylim(len(strengths) - 0.5, -0.5)
    axes.set_xlabel('Bradley-Terry strength, 95 % interval')
    axes.spines[['top', 'right']].set_visible(False)
    save_figure(figure, path)
