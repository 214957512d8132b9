"""Pairs of images that people have compared: from HGGT's labels, from a CSV, from votes.

Source:
    Zhang et al. (2025), Augmenting perceptual super-resolution via image quality predictors, CVPR:
    metrics are compared with people's preferences in the HGGT data set and in SBS180K. How labels
    become pairs is not published; the rule of `pairs_from_labels` is ours.
"""

import csv
import io
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
from iqasr.runtime.atomic_files import write_text_atomically
from iqasr.runtime.errors import DataError
from iqasr.sampling.labels import Label
from iqasr.user_study import LEAST_CAUGHT, comparisons, read_ballots, read_manifest, reliability

COLUMNS = ('path_a', 'path_b', 'p_b', 'source_id')

PATCH = re.compile(r'-\d+-\d+$')
"""What HGGT adds to the name of a photograph: where a patch was cut from it."""


class Pair(NamedTuple):
    """Two images of one source, and which of them people prefer."""

    path_a: str
    path_b: str
    p_b: float
    """Share of people who prefer b, in [0, 1]; 0.5 is a tie."""
    source_id: str
    """The photograph both come from. Pairs of one source are not independent."""
    weight: float = 1.0


@dataclass(frozen=True)
class PairSet:
    """Pairs, and the way to read their images."""

    pairs: Sequence[Pair]
    reader: Reader = field(default_factory=FileReader)

    def images(self) -> CandidateSet:
        """All images, those of one source in one group."""
        files = [(p.source_id, path) for p in self.pairs for path in (p.path_a, p.path_b)]
        return image_set(files, self.reader)


def image_set(files: Iterable[tuple[str, str]], reader: Reader) -> CandidateSet:
    """Put images into groups by source.

    Args:
        files: Source and path of each; a path may come again.
        reader: Reads them.
    """
    by_source: dict[str, dict[str, None]] = defaultdict(dict)
    for source, path in files:
        by_source[source][path] = None
    groups = [
        Group(source, tuple(paths), tuple(paths), (None,) * len(paths))
        for source, paths in sorted(by_source.items())
    ]
    return CandidateSet('', groups, reader)


def read_pairs(source: str, votes: Sequence[str] = ()) -> PairSet:
    """Read pairs from a CSV file, a user study, or an LMDB or folder of labelled candidates.

    Args:
        source: The file or folder; of a study its ``study.json``.
        votes: Of a study, the files of its raters.

    Raises:
        DataError: As `pairs_from_csv`, `pairs_from_study` and `pairs_from_labels`; if there are
            votes and no study; or if all pairs have one source.
    """
    if source.endswith('.json'):
        found = pairs_from_study(source, votes)
    elif votes:
        raise DataError(f'{source}: votes belong to the study.json of their study; give that.')
    else:
        is_file = os.path.isfile(source)
        found = pairs_from_csv(source) if is_file else pairs_from_labels(source)
    if len({pair.source_id for pair in found.pairs}) < 2:
        raise DataError(
            f'{source}: all pairs come from one source image, so that nothing can be said of '
            'others. Give pairs of at least two (far better: twenty), named in source_id.'
        )
    return found


def pairs_from_labels(root: str, labels: str | None = None) -> PairSet:
    """Turn labels in the layout of HGGT into pairs.

    (original, positive) and (negative, original) have a winner, (original, similar) is a tie;
    each weighs as the share of annotators who voted for the label. (negative, positive) of one
    group weighs as the weaker of both. Patches of one photograph, ``NAME-<x>-<y>``, are one source.

    Args:
        root: As in `open_candidates`.
        labels: As in `open_candidates`.

    Raises:
        DataError: If the data set cannot be read, or holds no labels.
    """
    candidates = open_candidates(root, labels, allow_missing=True)
    pairs = [pair for group in candidates.groups for pair in pairs_of(group)]
    if not pairs:
        raise DataError(
            f'{root}: holds no labels, so there are no pairs. They belong in {root}/labels/'
            f'{{{",".join(ANNOTATORS)}}}; datasets/README.md shows the layout.'
        )
    return PairSet(pairs, candidates.reader)


def pairs_of(group: Group) -> list[Pair]:
    """List the pairs that the labels of one group make."""
    original, source = group.files[0], PATCH.sub('', group.key)
    judged: dict[Label, list[tuple[str, float]]] = defaultdict(list)
    for file, label, votes in zip(group.files[1:], group.labels[1:], group.votes[1:], strict=True):
        if file is not None and label is not None:
            judged[label].append((file, votes / len(ANNOTATORS)))
    share = {Label.POSITIVE: 1.0, Label.SIMILAR: 0.5, Label.NEGATIVE: 0.0}
    with_original = [
        Pair(original, file, share[label], source, weight)
        for label, files in judged.items()
        for file, weight in files
    ]
    return with_original + [
        Pair(worse, better, 1.0, source, min(weight, other))
        for worse, weight in judged[Label.NEGATIVE]
        for better, other in judged[Label.POSITIVE]
    ]


def pairs_from_csv(path: str) -> PairSet:
    """Read a CSV file with the columns of `COLUMNS`; others are passed over.

    Args:
        path: The file. Paths in it are relative to its folder.

    Raises:
        DataError: With every line that is wrong: a missing file, a share outside [0, 1], no source.
    """
    lines = lines_of(path, COLUMNS)
    problems = [
        f'{path}, line {number}: {problem}'
        for number, row in lines
        for problem in problems_of(row, Path(path).parent)
    ]
    if problems:
        raise DataError(problems)
    folder = os.path.dirname(path)
    return PairSet(
        [
            Pair(
                os.path.normpath(os.path.join(folder, row['path_a'])),
                os.path.normpath(os.path.join(folder, row['path_b'])),
                float(row['p_b']),
                row['source_id'],
            )
            for _, row in lines
        ]
    )


def lines_of(path: str, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Read the lines of a CSV file, with their numbers.

    Raises:
        DataError: If it is no text, a column is missing, or there are no lines.
    """
    try:
        with open(path, encoding='utf-8-sig', newline='') as file:
            reader = csv.DictReader(file, restval='')
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            lines = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f'{path}: is no CSV file ({error}). Export it as CSV, UTF-8.') from error
    if missing:
        raise DataError(
            f'{path}: no column {", ".join(missing)}. The first line names the columns: '
            f'{",".join(columns)}.'
        )
    if not lines:
        raise DataError(f'{path}: holds only the line that names the columns.')
    return lines


def problems_of(row: dict[str, str | None], folder: Path) -> list[str]:
    """Say what is wrong with a line of a CSV file of pairs."""
    empty = [name for name in COLUMNS if not row[name]]
    if empty:
        return [f'{", ".join(empty)}: empty. Fill it in, or remove the line.']
    problems = [
        f'{row[name]}: there is no such file in {folder}. Correct {name}, or remove the line.'
        for name in COLUMNS[:2]
        if not (folder / row[name]).is_file()
    ]
    try:
        share = float(row['p_b'])
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        problems.append(
            f'p_b is {row["p_b"]}; give the share of people who prefer b, a number from 0 to 1.'
        )
    return problems


def pairs_from_study(path: str, votes: Sequence[str]) -> PairSet:
    """Turn the votes of a user study into pairs of the crops that people saw.

    Args:
        path: ``study.json``, as scripts/make_study.py wrote it.
        votes: Files of votes. Raters who miss too many catch trials are left out, as in the
            analysis of the study.

    Raises:
        DataError: If study or votes cannot be read, do not belong together, or no vote is left.
    """
    manifest = read_manifest(Path(path))
    ballots = read_ballots([Path(file) for file in votes], manifest)
    included = [b for b in ballots if reliability(b, manifest).passes(LEAST_CAUGHT)]
    pairs = pairs_from_votes(
        (vote.path_a, vote.path_b, vote.source_id, vote.choice)
        for vote in comparisons(manifest, Path(path).parent, included)
    )
    if not pairs:
        raise DataError(
            f'{path}: no vote is left; {len(ballots) - len(included)} of {len(ballots)} raters '
            'missed too many catch trials. Collect more votes.'
        )
    return PairSet(pairs)


def pairs_from_votes(votes: Iterable[tuple[str, str, str, str]]) -> list[Pair]:
    """Count votes of single people into pairs.

    Args:
        votes: path_a, path_b, source_id and choice, ``a`` or ``b``, of each vote. The same two
            images may have been shown either way round.

    Returns:
        One pair for every two images of a source that were compared.

    Raises:
        DataError: If a choice is neither ``a`` nor ``b``.

    Example:
        >>> pairs_from_votes([('x', 'y', 's', 'b'), ('y', 'x', 's', 'b'), ('x', 'y', 's', 'b')])
        [Pair(path_a='x', path_b='y', p_b=0.6666666666666666, source_id='s', weight=1.0)]
    """
    ballots: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
    for path_a, path_b, source, choice in votes:
        if choice not in ('a', 'b'):
            raise DataError(f"{source}: a vote for '{choice}'; a vote is for a or for b.")
        first, second = sorted((path_a, path_b))
        ballots[first, second, source].append((choice == 'b') == (path_b == second))
    return [
        Pair(first, second, sum(for_second) / len(for_second), source)
        for (first, second, source), for_second in ballots.items()
    ]


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """Write the CSV file that `pairs_from_csv` reads; paths become relative to its folder."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(COLUMNS)
    for pair in pairs:
        files = [os.path.relpath(file, path.parent) for file in (pair.path_a, pair.path_b)]
        writer.writerow([*files, pair.p_b, pair.source_id])
    write_text_atomically(text.getvalue(), path)
