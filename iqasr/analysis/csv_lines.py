"""CSV files of what people say of images: their columns, their lines, and the images they name."""

import csv
import math
import os
from collections.abc import Sequence
from pathlib import Path

from iqasr.runtime.errors import DataError


def read_csv_columns(path: str) -> list[str]:
    """Read the names of the columns, as far as the first line of a file holds any."""
    with open(path, encoding='utf-8-sig', errors='replace') as file:
        return file.readline().replace('"', '').strip().split(',')


def read_csv_lines(path: str, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Read the lines of a CSV file, with their numbers.

    Raises:
        DataError: If it is not CSV, a column is missing or there twice, or it has no lines.
    """
    try:
        with open(path, encoding='utf-8-sig', newline='') as file:
            reader = csv.DictReader(file, restval='')
            names = reader.fieldnames or []
            lines = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f'{path}: is no CSV file ({error}). Export it as CSV, UTF-8.') from error
    if missing := [name for name in columns if name not in names]:
        raise DataError(
            f'{path}: no column {", ".join(missing)}. The first line names the columns: '
            f'{",".join(columns)}.'
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f'{path}: column {", ".join(twice)} is there twice; remove one.')
    if not lines:
        raise DataError(f'{path}: holds only the line that names the columns.')
    return lines


def path_in(folder: Path, name: str) -> str:
    """Path of an image that is named in a file of this folder."""
    return os.path.normpath(folder / name)


def number_in(text: str | None) -> float:
    """Read a number; NaN if it is none, or is infinite."""
    try:
        number = float(text or 'nan')
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan
