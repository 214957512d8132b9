"""How often each image is drawn, where they are not drawn equally often."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

import torch

from iqasr.runtime.errors import DataError

COLUMNS = ('key', 'weight')


class SamplingWeights:
    """Draws images in proportion to weights, by systematic sampling.

    The draw at index i of N takes the image at :math:`(i + u) / N` of the cumulated weights, u
    uniform. As an epoch passes over all i, an image with the share p of all weights is drawn
    :math:`pN` times in each, give or take less than two; with equal weights, each once.

    Args:
        path: CSV file with the columns ``key`` and ``weight`` (>= 0); others are ignored, as are
            images that are not among `keys`.
        keys: `Group.key` of each image.

    Raises:
        DataError: If the file cannot be read, a weight is no finite number >= 0, an image has none
            or two, or all are 0.
    """

    def __init__(self, path: str, keys: Sequence[str]) -> None:
        known = read_weights(path)
        missing = [key for key in keys if key not in known]
        if missing:
            raise DataError([f"{path}: has no weight for '{key}'. Add a line." for key in missing])
        weights = torch.tensor([known[key] for key in keys], dtype=torch.float64)
        if not weights.any():
            raise DataError(f'{path}: all weights are 0. Give some image a larger one.')
        shares = weights / weights.max()  # their sum may be beyond what a float holds
        self.cumulative = (shares / shares.sum()).cumsum(0)
        self.last = int(weights.nonzero()[-1])

    def draw(self, index: int, generator: torch.Generator) -> int:
        """Draw an image.

        Args:
            index: The index at which the data set is read.
            generator: CPU generator; advanced by one draw.

        Returns:
            The index of the image to read.
        """
        uniform = torch.rand(1, generator=generator, dtype=torch.float64)
        place = (index + uniform) / len(self.cumulative) * self.cumulative[-1]
        found = torch.searchsorted(self.cumulative, place, right=True)
        return int(found.clamp(max=self.last))  # rounding may reach the very end


def read_weights(path: str) -> dict[str, float]:
    """Read weights by key.

    Raises:
        DataError: As `SamplingWeights`.
    """
    try:
        lines = csv.DictReader(io.StringIO(Path(path).read_text(encoding='utf-8-sig'), newline=''))
        absent = [column for column in COLUMNS if column not in (lines.fieldnames or ())]
        rows = [] if absent else [(row['key'], row['weight']) for row in lines]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f'{path}: cannot be read as weights of images ({error}).') from error
    if absent:
        raise DataError(f'{path}: has no column {absent[0]}; its first line should be key,weight.')
    weights: dict[str, float] = {}
    problems = []
    for number, (key, text) in enumerate(rows, start=2):
        weight = as_weight(text)
        if weight is None:
            problems.append(f"{path}: line {number}: '{text}' is no finite number of at least 0.")
        elif weights.setdefault(key, weight) != weight:
            problems.append(f"{path}: line {number}: '{key}' has two weights. Keep one.")
    if problems:
        raise DataError(problems)
    return weights


def as_weight(text: str | None) -> float | None:
    """Read a weight; None if it is none."""
    try:
        weight = float(text or '')
    except ValueError:
        return None
    return weight if math.isfinite(weight) and weight >= 0 else None
