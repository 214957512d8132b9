"""Pairs of images that people have compared, from the labels of HGGT, a CSV file or votes.

Source:
    Zhang et al. (2025), Augmenting perceptual super-resolution via image quality predictors, CVPR:
    metrics are compared with people's preferences in the HGGT data set and in SBS180K. How labels
    become pairs is not published; the rule of `pairs_from_labels` is our own.
"""

import os
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from iqasr.analysis.csv_lines import number_in, path_in, read_csv_columns, read_csv_lines
from iqasr.data.candidates.candidate_set import CandidateSet, Group, open_candidates
from iqasr.data.candidates.hggt import ANNOTATORS
from iqasr.data.files.readers import FileReader, Reader
from iqasr.runtime.atomic_files import write_csv
from iqasr.runtime.errors import DataError
from iqasr.sampling.labels import Label

PAIR_COLUMNS = ('path_a', 'path_b', 'p_b', 'source_id')
VOTE_COLUMNS = ('winner', 'loser', 'source_id')

LEAST_SUSPICIOUS = 10
"""Pairs from which votes for one side alone are no chance (1 in 512)."""

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
        DataError: As `pairs_from_csv` and `pairs_from_labels`; or if all pairs have one source.
    """
    if os.path.isfile(source):
        return refuse_single_source(pairs_from_csv(source, with_images=with_images), source)
    return refuse_single_source(pairs_from_labels(source), source)


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
    """Read a CSV file with the columns of `PAIR_COLUMNS`, or of `VOTE_COLUMNS` for single votes.

    Other columns are ignored.

    Args:
        path: The file. Paths in it are relative to its folder.
        with_images: Whether they must be those of files. Otherwise they may be any names.

    Raises:
        DataError: If any line is wrong (a missing file, an image compared with itself, a share
            outside [0, 1], no source; the message names all of them), or if `LEAST_SUSPICIOUS`
            pairs or more all have a share of 0, or all of 1.
    """
    columns = choose_columns(read_csv_columns(path))
    lines, folder = read_csv_lines(path, columns), Path(path).parent
    problems = [
        f'{path}, line {number}: {problem}'
        for number, row in lines
        for problem in find_problems(row, columns, folder if with_images else None)
    ]
    if problems:
        raise DataError(problems)
    first, second = columns[:2]
    rows = [(path_in(folder, row[first]), path_in(folder, row[second]), row) for _, row in lines]
    if columns == VOTE_COLUMNS:
        votes = (PairVote(winner, loser, row['source_id'], 'a') for winner, loser, row in rows)
        return PairSet(pairs_from_votes(votes))
    pairs = [ImagePair(a, b, float(row['p_b']), row['source_id']) for a, b, row in rows]
    shares = {pair.p_b for pair in pairs}
    if len(pairs) >= LEAST_SUSPICIOUS and shares in ({0.0}, {1.0}):
        side = 'b' if shares == {1.0} else 'a'
        raise DataError(
            f'{path}: all votes are for {side}, as if p_b had been filled in by mistake. If {side} '
            'is the better one by design, call the columns winner and loser instead of path_a and '
            'path_b; p_b is then not needed.'
        )
    return PairSet(pairs)


def choose_columns(names: Container[str]) -> tuple[str, ...]:
    """Choose what a file is read by, `VOTE_COLUMNS` or `PAIR_COLUMNS`; the first two are images."""
    return VOTE_COLUMNS if 'winner' in names and 'path_a' not in names else PAIR_COLUMNS


def find_problems(
    row: dict[str, str | None], columns: Sequence[str], folder: Path | None
) -> list[str]:
    """List what is wrong with a line of a CSV file of pairs.

    Args:
        row: The line.
        columns: Of `choose_columns`.
        folder: Where its images must be; None where there need not be any.
    """
    empty = [name for name in columns if not row[name]]
    if empty:
        return [f'{", ".join(empty)}: empty. Fill it in, or remove the line.']
    problems = [
        f'{row[name]}: there is no such file in {folder}. Correct {name}, or remove the line.'
        for name in columns[:2]
        if folder and not (folder / row[name]).is_file()
    ]
    one, other = columns[:2]
    if os.path.normpath(row[one]) == os.path.normpath(row[other]):
        problems.append(f'{one} and {other} are both {row[one]}; name two images.')
    if 'p_b' in columns and not 0 <= number_in(row['p_b']) <= 1:
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
