"""What people say of single images: mean opinion scores (MOS), or who was chosen as the best.

Source:
    How opinions become pairs, and how these are weighted, is written here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from iqasr.analysis.csv_lines import number_in, path_in, read_csv_columns, read_csv_lines
from iqasr.analysis.pairs import ImagePair, image_set
from iqasr.data.candidates.candidate_set import CandidateSet
from iqasr.runtime.errors import DataError


class Opinion(NamedTuple):
    """An image and what people say of it."""

    path: str
    value: float
    """Mean opinion score, any scale, or the number of votes; higher is better."""
    source_id: str
    """The photograph that it shows. Images of one source are not independent."""


@dataclass(frozen=True)
class OpinionSet:
    """Opinions of images."""

    kind: Literal['mos', 'votes']
    """``votes``: how often each image was chosen as the best of its source."""
    opinions: Sequence[Opinion]

    def images(self) -> CandidateSet:
        """All images, those of one source in one group."""
        return image_set((opinion.source_id, opinion.path) for opinion in self.opinions)

    def by_source(self) -> dict[str, list[Opinion]]:
        """The opinions of each source."""
        groups: dict[str, list[Opinion]] = defaultdict(list)
        for opinion in self.opinions:
            groups[opinion.source_id].append(opinion)
        return groups

    @property
    def pairs(self) -> list[ImagePair]:
        """Every two images of a source.

        Of scores, people prefer the higher one. Each vote prefers the chosen image to each other
        one, and says nothing of the others: a pair counts the votes for either image, as a share of
        all votes of the source, so that each source weighs the same.
        """
        pairs = []
        for source, group in self.by_source().items():
            total = sum(opinion.value for opinion in group)
            for a, b in combinations(group, 2):
                share, weight = (1 + np.sign(b.value - a.value)) / 2, 1.0
                if self.kind == 'votes':
                    both = a.value + b.value
                    share, weight = b.value / both if both else 0.5, both / total
                if weight > 0:
                    pairs.append(ImagePair(a.path, b.path, float(share), source, weight))
        return pairs


def has_opinions(path: str) -> bool:
    """Tell a CSV file of opinions from other sources, by its first line."""
    if not Path(path).is_file():
        return False
    names = read_csv_columns(path)
    return 'path_a' not in names and not {'path', 'mos'}.isdisjoint(names)


def read_opinions(path: str, *, with_images: bool = True) -> OpinionSet:
    """Read a CSV file with the columns ``path``, ``source_id``, and ``mos`` or else ``votes``.

    Args:
        path: The file. Paths in it are relative to its folder. With ``mos``, ``source_id`` may be
            left out: then each image is a source of its own.
        with_images: Whether paths must be those of files. Otherwise they may be any names.

    Raises:
        DataError: If any line is wrong (the message names all of them), a source has a single image
            to choose from or no votes, or there are fewer than two sources.
    """
    lines = read_csv_lines(path, ['path'])
    columns = lines[0][1].keys()
    if 'mos' not in columns and not {'votes', 'source_id'} <= columns:
        raise DataError(
            f'{path}: no column mos (opinion scores), nor votes and source_id (how often each '
            'image was chosen as the best of its source). Name what people say so.'
        )
    kind = 'mos' if 'mos' in columns else 'votes'
    folder, problems, opinions = Path(path).parent, [], []
    for number, row in lines:
        file = path_in(folder, row['path'])
        problems += [
            f'{path}, line {number}: {problem}'
            for problem in find_problems_of_opinion(row, kind, file if with_images else None)
        ]
        value = number_in(row[kind])
        opinions.append(Opinion(file, value, row.get('source_id') or row['path']))
    found = OpinionSet(kind, opinions)
    problems += [f'{path}: {problem}' for problem in find_problems_of_sources(found)]
    if problems:
        raise DataError(problems)
    return found


def find_problems_of_opinion(row: dict[str, str], kind: str, file: str | None) -> Iterator[str]:
    """Yield what is wrong with a line; `file` is the image, None where there need not be one."""
    if not row['path']:
        yield 'path: empty. Name the image, or remove the line.'
    elif file and not Path(file).is_file():
        yield f'{file}: there is no such file. Correct path, or remove the line.'
    value = number_in(row[kind])
    if kind == 'mos' and np.isnan(value):
        yield f"mos is '{row['mos']}'; give a number."
    if kind == 'votes' and not (value >= 0 and value.is_integer()):
        yield f"votes is '{row['votes']}'; give how often the image was chosen, 0 or more."
    if kind == 'votes' and not row['source_id']:
        yield 'source_id: empty. Name the photograph that the image shows.'


def find_problems_of_sources(opinions: OpinionSet) -> Iterator[str]:
    """Yield what is wrong with the images of a source, and with all together."""
    sources = opinions.by_source()
    if len(sources) < 2:
        yield 'all images are of one source; give at least two.'
    for path, times in Counter(opinion.path for opinion in opinions.opinions).items():
        if times > 1:
            yield f'{path} is there {times} times; name each image once.'
    if opinions.kind == 'votes':
        for source, group in sources.items():
            if len(group) < 2:
                yield f'source {source} has a single image; a choice is between two or more.'
            elif sum(opinion.value for opinion in group) == 0:
                yield f'nobody has voted on source {source}; remove its lines.'
