"""Pairs of images that people have compared, from the labels of HGGT, a CSV file or votes.

Source:
    Zhang et al. (2025), Augmenting perceptual super-resolution via image quality predictors, CVPR:
    metrics are compared with people's preferences in the HGGT data set and in SBS180K. How labels
    become pairs is not published; the rule of `pairs_from_labels` is our own.
"""

import csv
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from iqasr.data.candidates.candidate_set import CandidateSet, Group, open_candidates
from iqasr.data.candidates.hggt import ANNOTATORS
from iqasr.data.files.readers import FileReader, Reader
from iqasr.runtime.atomic_files import write_csv
from iqasr.runtime.errors import DataError
from iqasr.sampling.labels import Label

PAIR_COLUMNS = ('path_a', 'path_b', 'p_b', 'source_id')

PATCH_SUFFIX = re.compile(r'-\d+-\d+$')
"""Ending that HGGT adds to the name of a photograph: the place of a patch in it."""


class ImagePair(NamedTuple):
    """Two images of one source, and the preference of people between them."""

    path_a: str
    path_b: str
    p_b: float
    """Share of people who prefer b, in [0, 1]; 0.5 is a tie."""
    source_id: str
    """The photograph that both show. Pairs of one source are not independent."""
    weight: float = 1.0


class PairVote(NamedTuple):
    """The vote of one person between two images of one source."""

    path_a: str
    path_b: str
    source_id: str
    choice: str
    """``a`` or ``b``."""


@dataclass(frozen=True)
class PairSet:
    """Pairs, and the reader of their images."""

    pairs: Sequence[ImagePair]
    reader: Reader = field(default_factory=FileReader)

    def images(self) -> CandidateSet:
        """All images, those of one source in one group."""
        files = [(p.source_id, path) for p in self.pairs for path in (p.path_a, p.path_b)]
        return image_set(files, self.reader)


def image_set(files: Iterable[tuple[str, str]], reader: Reader | None = None) -> CandidateSet:
    """Put images into groups by source.

    Args:
        files: Source and path of each; paths may be repeated.
        reader: Reader of the images; default from files.
    """
    by_source: dict[str, dict[str, None]] = defaultdict(dict)
    for source, path in files:
        by_source[source][path] = None
    groups = [
        Group(source, tuple(paths), tuple(paths), (None,) * len(paths))
        for source, paths in sorted(by_source.items())
    ]
    return CandidateSet('', groups, reader or FileReader())


def read_pairs(source: str, *, with_images: bool = True) -> PairSet:
    """Read pairs from a CSV file, or from a folder or store of labelled candidates.

    Args:
        source: The file, folder or store.
        with_images: As in `pairs_from_csv`.

    Raises:
        DataError: As `pairs_from_csv` and `pairs_from_labels`; or if all pairs of a file have one
            source, or all its votes are for the same side.
    """
    if not os.path.isfile(source):
        return refuse_single_source(pairs_from_labels(source), source)
    pairs = refuse_single_source(pairs_from_csv(source, with_images=with_images), source)
    for share, side in ((0, 'a'), (1, 'b')):
        if all(pair.p_b == share for pair in pairs.pairs):
            raise DataError(
                f'{source}: all votes are for {side}, as if p_b had been filled in by mistake. If '
                f'{side} is the better one by design, exchange a and b in some of the lines.'
            )
    return pairs


def refuse_single_source(pairs: PairSet, path: str) -> PairSet:
    """Return the pairs, or raise DataError (naming `path`) if all of them have one source."""
    if len({pair.source_id for pair in pairs.pairs}) < 2:
        raise DataError(
            f'{path}: all pairs come from one source image, so that nothing can be said of '
            'others. Give pairs of at least two (far better: twenty), named in source_id.'
        )
    return pairs


def pairs_from_labels(root: str) -> PairSet:
    """Turn labels in the layout of HGGT into pairs.

    (original, positive) and (negative, original) have a winner, (original, similar) is a tie. The
    weight of each is the share of annotators who voted for the label; that of (negative, positive)
    in one group is the smaller of the two. Patches of one photograph, ``NAME-<x>-<y>``, are one
    source.

    Args:
        root: As in `open_candidates`.

    Raises:
        DataError: If the data set cannot be read, or holds no labels.
    """
    candidates = open_candidates(root, allow_missing=True)
    pairs = [pair for group in candidates.groups for pair in pairs_of_group(group)]
    if not pairs:
        raise DataError(
            f'{root}: holds no labels, so there are no pairs. They belong in {root}/labels/'
            f'{{{",".join(ANNOTATORS)}}}; datasets/README.md shows the layout.'
        )
    return PairSet(pairs, candidates.reader)


def pairs_of_group(group: Group) -> list[ImagePair]:
    """Turn the labels of one group into pairs."""
    original, source = group.files[0], PATCH_SUFFIX.sub('', group.key)
    judged: dict[Label, list[tuple[str, float]]] = defaultdict(list)
    for file, label, votes in zip(group.files[1:], group.labels[1:], group.votes[1:], strict=True):
        if file is not None and label is not None:
            judged[label].append((file, votes / len(ANNOTATORS)))
    share = {Label.POSITIVE: 1.0, Label.SIMILAR: 0.5, Label.NEGATIVE: 0.0}
    with_original = [
        ImagePair(original, file, share[label], source, weight)
        for label, files in judged.items()
        for file, weight in files
    ]
    return with_original + [
        ImagePair(worse, better, 1.0, source, min(weight, other))
        for worse, weight in judged[Label.NEGATIVE]
        for better, other in judged[Label.POSITIVE]
    ]


def pairs_from_csv(path: str, *, with_images: bool = True) -> PairSet:
    """Read a CSV file with the columns of `PAIR_COLUMNS`; other columns are ignored.

    Args:
        path: The file. Paths in it are relative to its folder.
        with_images: Whether they must be those of files. Otherwise they may be any names.

    Raises:
        DataError: If any line is wrong (a missing file, an image compared with itself, a share
            outside [0, 1], no source); the message names all of them.
    """
    folder, problems, pairs = Path(path).parent, [], []
    for number, row in read_csv_lines(path, PAIR_COLUMNS):
        if found := find_problems(row, folder if with_images else None):
            problems += [f'{path}, line {number}: {problem}' for problem in found]
        else:
            files = (path_in(folder, row[name]) for name in PAIR_COLUMNS[:2])
            pairs.append(ImagePair(*files, float(row['p_b']), row['source_id']))
    if problems:
        raise DataError(problems)
    return PairSet(pairs)


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


def find_problems(row: dict[str, str | None], folder: Path | None) -> list[str]:
    """List what is wrong with a line of a CSV file of pairs.

    Args:
        row: The line.
        folder: Where its images must be; None where there need not be any.
    """
    empty = [name for name in PAIR_COLUMNS if not row[name]]
    if empty:
        return [f'{", ".join(empty)}: empty. Fill it in, or remove the line.']
    problems = [
        f'{row[name]}: there is no such file in {folder}. Correct {name}, or remove the line.'
        for name in PAIR_COLUMNS[:2]
        if folder and not (folder / row[name]).is_file()
    ]
    if os.path.normpath(row['path_a']) == os.path.normpath(row['path_b']):
        problems.append(f'path_a and path_b are both {row["path_a"]}; name two images.')
    try:
        share = float(row['p_b'])
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        problems.append(
            f'p_b is {row["p_b"]}; give the share of people who prefer b, a number from 0 to 1.'
        )
    return problems


def pairs_from_votes(votes: Iterable[PairVote]) -> list[ImagePair]:
    """Count votes into pairs.

    Args:
        votes: The votes. The same two images may have been shown in either order.

    Returns:
        One pair for every two images of a source that were compared.

    Raises:
        DataError: If a choice is neither ``a`` nor ``b``.

    Example:
        >>> votes = [('x', 'y', 's', 'b'), ('y', 'x', 's', 'b'), ('x', 'y', 's', 'b')]
        >>> pairs_from_votes(PairVote(*vote) for vote in votes)
        [ImagePair(path_a='x', path_b='y', p_b=0.6666666666666666, source_id='s', weight=1.0)]
    """
    ballots: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
    for path_a, path_b, source, choice in votes:
        if choice not in ('a', 'b'):
            raise DataError(f"{source}: a vote for '{choice}'; a vote is for a or for b.")
        first, second = sorted((path_a, path_b))
        ballots[first, second, source].append((choice == 'b') == (path_b == second))
    return [
        ImagePair(first, second, sum(for_second) / len(for_second), source)
        for (first, second, source), for_second in ballots.items()
    ]


def write_pairs(path: Path, pairs: Iterable[ImagePair]) -> None:
    """Write the CSV file that `pairs_from_csv` reads; paths become relative to its folder."""
    folder = path.parent
    rows = (
        (os.path.relpath(p.path_a, folder), os.path.relpath(p.path_b, folder), p.p_b, p.source_id)
        for p in pairs
    )
    write_csv(PAIR_COLUMNS, (dict(zip(PAIR_COLUMNS, row, strict=True)) for row in rows), path)
