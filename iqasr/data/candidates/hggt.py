"""Human judgements of candidate ground truths, in the layout of the HGGT data set.

Source:
    Chen et al. (2023), Human guided ground-truth generation for realistic image super-resolution,
    CVPR; the merging of three annotators as in https://github.com/ChrisDud0257/HGGT.
"""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence

from iqasr.sampling.labels import Label

ANNOTATORS = ('A', 'B', 'C')
"""Folders of ``labels``, one per annotator."""


LABEL_OF_WORD = {label.name.capitalize(): label for label in Label if label is not Label.ORIGINAL}


def merge_votes(votes: Sequence[Label]) -> tuple[Label, int]:
    """Merge the votes of three annotators.

    Args:
        votes: One label per annotator.

    Returns:
        The label of the majority, or `Label.SIMILAR` when all three differ, and how many
        annotators voted for the winner; 1 when all three differ.

    Example:
        >>> merge_votes([Label.POSITIVE, Label.NEGATIVE, Label.POSITIVE])
        (<Label.POSITIVE: 1>, 2)
    """
    if len(votes) != len(ANNOTATORS):
        raise ValueError(
            f'{len(ANNOTATORS)} votes are merged, one per annotator; got {len(votes)}.'
        )
    winner, count = Counter(votes).most_common(1)[0]
    return (winner, count) if count > 1 else (Label.SIMILAR, 1)


def read_votes(path: str, folders: Sequence[str]) -> tuple[Label, ...]:
    """Read what one annotator said of the candidates of one group.

    Args:
        path: A JSON file: an object whose entries ``Picture_1``, ``Picture_2``, ... hold ``Name``,
            ``File`` (the folder of the candidate) and ``Label``.
        folders: Folders of the enhanced candidates, in order.

    Returns:
        One label per folder.

    Raises:
        ValueError: If there is no such file or it is no such object, a folder has no entry, or a
            label is unknown.
    """
    try:
        with open(path, encoding='utf-8-sig') as file:
            pictures = json.load(file)
        word_of = {
            picture['File'].lower(): picture['Label']
            for name, picture in pictures.items()
            if name.startswith('Picture_')
        }
    except FileNotFoundError as error:
        raise ValueError(
            f'{path}: missing. Each annotator judges each original. Copy the labels again, or '
            'remove the original and its candidates.'
        ) from error
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path}: not a label file ({type(error).__name__}: {error}). It holds one JSON object '
            'with entries Picture_1, Picture_2, ..., each with Name, File and Label.'
        ) from error
    return tuple(_label(path, folder, word_of) for folder in folders)


def _label(path: str, folder: str, word_of: Mapping[str, object]) -> Label:
    if folder.lower() not in word_of:
        raise ValueError(f"{path}: no entry has File '{folder}'. Add a Picture_ entry for it.")
    word = word_of[folder.lower()]
    if not isinstance(word, str) or word not in LABEL_OF_WORD:
        raise ValueError(
            f'{path}: the label of {folder} is {word!r}. Use one of {", ".join(LABEL_OF_WORD)}.'
        )
    return LABEL_OF_WORD[word]


def read_labels(labels: str, name: str, folders: Sequence[str]) -> list[tuple[Label, int]]:
    """Read and merge the judgements of all annotators on one group.

    Args:
        labels: Folder with one folder per annotator, each holding ``<name>.json``.
        name: Name of the group's original, without suffix.
        folders: Folders of the enhanced candidates, in order.

    Returns:
        Merged label and winning votes, as `merge_votes`, of each folder.

    Raises:
        ValueError: As `read_votes`.
    """
    votes = [read_votes(os.path.join(labels, who, f'{name}.json'), folders) for who in ANNOTATORS]
    return [merge_votes(of_one_candidate) for of_one_candidate in zip(*votes, strict=True)]


def write_votes(path: str, name: str, votes: Mapping[str, Label]) -> None:
    """Write what one annotator said of one group, as `read_votes` reads it.

    Args:
        path: The JSON file.
        name: Name of the group's original, without suffix.
        votes: A label for each folder of enhanced candidates.
    """
    pictures = {'Picture_1': {'Name': f'{name}.png', 'File': 'original', 'Label': None}}
    for number, (folder, label) in enumerate(votes.items(), start=2):
        entry = {'Name': f'{name}_{folder}.png', 'File': folder, 'Label': label.name.capitalize()}
        pictures[f'Picture_{number}'] = entry
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(pictures, file, indent=2)
