"""The sample data of QualiSR-Lab as a CSV file of opinions with scores.

Source:
    Package qualisr-lab 0.1.7 of the MSU Graphics & Media Lab, BSD-3: people's scores of the outputs
    of three networks, and published metrics of each, ``sample_data`` in its folder. Only the layout
    of its files is known here.
"""

from importlib.util import find_spec
from pathlib import Path

from iqasr.analysis.csv_lines import read_csv_lines
from iqasr.runtime.atomic_files import write_csv
from iqasr.runtime.errors import DataError

OF_GT = '_gt'
"""Ending of full-reference scores against the ground truth; others are against other images."""


def find_qualisr() -> str:
    """Find the sample data of the installed package.

    Raises:
        DataError: If it is not installed.
    """
    spec = find_spec('qualisr')
    if spec is None or spec.origin is None:
        raise DataError(
            'the package qualisr-lab is not installed. Run `pip install --no-deps qualisr-lab`, or '
            'name its folder sample_data.'
        )
    return str(Path(spec.origin).parent / 'sample_data')


def write_qualisr_opinions(folder: str, output: str) -> list[str]:
    """Join the sample data by image, and write a file for `read_opinions`.

    Args:
        folder: Holds ``scores/labels.csv`` and ``features/{nr,fr}.csv``.
        output: CSV file with the columns ``path``, ``source_id``, ``mos`` and one per metric.

    Returns:
        Names of the metrics.

    Raises:
        DataError: If a file is missing or has another layout, or an image has no scores.
    """
    root, scores = Path(folder), {}
    for name in ('nr', 'fr'):
        for _, row in read_present(root / f'features/{name}.csv', ('sr_method', 'sr_filename')):
            place = row['sr_method'].lower(), Path(row['sr_filename']).stem
            scores.setdefault(place, {}).update(scores_in(row, name))
    rows = []
    labels = root / 'scores/labels.csv'
    for number, row in read_present(labels, ('test_case', 'method', 'score', 'image')):
        place = row['method'].lower(), row['test_case']
        if place not in scores:
            raise DataError(f'{labels}, line {number}: {root}/features has no scores of {place}.')
        opinion = {'path': row['image'], 'source_id': row['test_case'], 'mos': row['score']}
        rows.append(opinion | scores[place])
    write_csv(list(rows[0]), rows, Path(output))
    return [name for name in rows[0] if name not in ('path', 'source_id', 'mos')]


def read_present(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Read lines, as `read_csv_lines`, of a file that should be there."""
    if not path.is_file():
        raise DataError(f'{path}: there is no such file. Name the folder sample_data of qualisr.')
    return read_csv_lines(str(path), columns)


def scores_in(row: dict[str, str], kind: str) -> dict[str, str]:
    """Scores of a line of ``nr.csv``, after the path of its input, or of ``fr.csv``."""
    if kind == 'fr':
        found = {name: value for name, value in row.items() if name.endswith(OF_GT)}
        return {name.removesuffix(OF_GT): value for name, value in found.items()}
    paths = ('sample_id', 'sr_method', 'sr_filename', 'sr_path', 'gt_path', 'lr_path')
    return {name: value for name, value in row.items() if name not in paths}
