"""Finding candidate ground truths in folders: HGGT's layout and plain folder sets."""

import os
from concurrent.futures import ThreadPoolExecutor

from iqasr.data.candidates.group import Group
from iqasr.data.candidates.hggt import ANNOTATORS, read_labels
from iqasr.data.files.image_files import folder_names, image_names
from iqasr.runtime.errors import DataError
from iqasr.sampling.labels import Label

ORIGINAL, LABELS = 'original', 'labels'
_READING_THREADS = 8


def read_folders(root: str, labels: str | None, *, allow_missing: bool) -> list[Group]:
    """Find the candidates of every image below a folder.

    Args:
        root: As in `iqasr.data.candidates.candidate_set.open_candidates`, as are the others.
        labels: Folder of the human judgements.
        allow_missing: Accept absent candidates.

    Returns:
        The groups, sorted by key.

    Raises:
        DataError: If candidates or labels are missing, ambiguous or unreadable: all of them.
    """
    sets = find_sets(root)
    problems = [] if '' in sets else _sets_without_original(root)
    groups: list[Group] = []
    for prefix, images in sets.items():
        judgements = _labels_folder(root, labels, prefix, problems)
        groups += _read_set(images, prefix, judgements, problems, allow_missing)
    if not groups and not problems:
        problems.append(
            f"{root}: holds no folder '{ORIGINAL}', neither directly nor in images/ nor in "
            'images/<set>/. datasets/README.md shows the layouts.'
        )
    if problems:
        raise DataError(problems)
    return sorted(groups)


def find_sets(root: str) -> dict[str, str]:
    """Find the folders below a root that hold ``original``.

    Returns:
        Folder by prefix of its keys; empty when there is none.
    """
    images = os.path.join(root, 'images')
    for folder in (root, images):
        if os.path.isdir(folder) and _original_folder(folder):
            return {'': folder}
    nested = {name: os.path.join(images, name) for name in _folder_names(images)}
    return {name: folder for name, folder in nested.items() if _original_folder(folder)}


def _sets_without_original(root: str) -> list[str]:
    images = os.path.join(root, 'images')
    sets = [os.path.join(images, name) for name in _folder_names(images)]
    return [
        f"{folder}: holds images, but no folder '{ORIGINAL}'. Copy the set again, or remove it."
        for folder in sets
        if not _original_folder(folder)
        and any(any(image_names(os.path.join(folder, name))) for name in _folder_names(folder))
    ]


def _folder_names(folder: str) -> list[str]:
    return folder_names(folder) if os.path.isdir(folder) else []


def _original_folder(folder: str) -> str | None:
    return next((name for name in _folder_names(folder) if name.lower() == ORIGINAL), None)


def _labels_folder(root: str, labels: str | None, prefix: str, problems: list[str]) -> str | None:
    if labels is None and not os.path.isdir(os.path.join(root, LABELS)):
        return None
    folder = os.path.join(labels or os.path.join(root, LABELS), prefix).rstrip(os.sep)
    absent = [who for who in ANNOTATORS if not os.path.isdir(os.path.join(folder, who))]
    if absent:
        problems.append(
            f'{folder}: no folder {", ".join(absent)}. Labels lie in one folder per annotator: '
            f'{", ".join(ANNOTATORS)}.'
        )
        return None
    return folder


def _read_set(
    images: str, prefix: str, labels: str | None, problems: list[str], allow_missing: bool
) -> list[Group]:
    original = _original_folder(images)
    variants = [name for name in _folder_names(images) if name not in (original, LABELS)]
    originals = stems(os.path.join(images, original), problems)
    columns = [[os.path.join(images, original, file) for file in originals.values()]]
    for variant in variants:
        column, missing = _find_variant(os.path.join(images, variant), list(originals), problems)
        columns.append(column)
        problems += [] if allow_missing else missing
    files = list(zip(*columns, strict=True))
    judgements = _read_judgements(labels, list(originals), variants, files, problems)
    start, names = f'{prefix}/' if prefix else '', (ORIGINAL, *variants)
    return [
        Group(start + name, names, of_group, *zip(*judged, strict=True))
        for name, of_group, judged in zip(originals, files, judgements, strict=True)
    ]


def stems(folder: str, problems: list[str]) -> dict[str, str]:
    """List the images of a folder as file by name without suffix; two of one name are a problem."""
    found: dict[str, str] = {}
    for file in image_names(folder):
        stem = os.path.splitext(file)[0]
        if stem in found:
            problems.append(
                f'{os.path.join(folder, file)}: {found[stem]} has the same name. Keep one of them.'
            )
        found[stem] = file
    if not found:
        problems.append(f'{folder}: holds no image. Fill it or remove it.')
    return found


def _find_variant(
    folder: str, names: list[str], problems: list[str]
) -> tuple[list[str | None], list[str]]:
    """Find one kind of candidate of all originals: ``NAME`` or ``NAME_<folder>``, any suffix.

    Returns:
        One path per name, None where there is none, and a sentence for each that is missing.
    """
    variant = os.path.basename(folder)
    found = stems(folder, problems)
    if not found:
        return [None] * len(names), []
    ending = max(
        ('', f'_{variant}'), key=lambda ending: sum(name + ending in found for name in names)
    )
    wanted = [name + ending for name in names]
    problems += [
        f'{os.path.join(folder, found[stem])}: there is no original of this name. '
        'Add the original, or remove the file.'
        for stem in sorted(found.keys() - set(wanted))
    ]
    missing = [
        f'{os.path.join(folder, stem)}.png: missing, candidate {variant} of an original. '
        'Add it, or remove the original and its other candidates.'
        for stem in wanted
        if stem not in found
    ]
    column = [os.path.join(folder, found[stem]) if stem in found else None for stem in wanted]
    return column, missing


def _read_judgements(
    labels: str | None,
    names: list[str],
    variants: list[str],
    files: list[tuple[str | None, ...]],
    problems: list[str],
) -> list[list[tuple[Label | None, int]]]:
    """Read label and votes of all candidates of all groups; each file once, several at a time."""
    nobody = [(Label.ORIGINAL, 0), *[(None, 0)] * len(variants)]
    if labels is None:
        return [nobody] * len(names)

    def judge(name: str, of_group: tuple[str | None, ...]) -> list[tuple[Label | None, int]]:
        present = [v for v, file in zip(variants, of_group[1:], strict=True) if file is not None]
        try:
            merged = dict(zip(present, read_labels(labels, name, present), strict=True))
        except ValueError as error:
            problems.append(str(error))
            return nobody
        return [(Label.ORIGINAL, len(ANNOTATORS)), *(merged.get(v, (None, 0)) for v in variants)]

    with ThreadPoolExecutor(_READING_THREADS) as pool:
        return list(pool.map(judge, names, files))
