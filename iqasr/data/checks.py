"""What is wrong with a data set, found before a run meets it."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, TypeVar

from tqdm import tqdm

from iqasr.data.candidates import CandidateSet, Group
from iqasr.data.image_files import SUFFIXES, decode_rgb, image_names, inspect_image

_T = TypeVar('_T')


def check_candidates(
    candidates: CandidateSet, *, min_size: int = 1, decode: bool = False, progress: bool = False
) -> list[str]:
    """Check every image of a set of candidates, several at a time.

    Args:
        candidates: The set.
        min_size: Least height and width, in pixels.
        decode: Decode every image, instead of looking at its first and last bytes.
        progress: Show a progress bar.

    Returns:
        The problems: images that `inspect_image` refuses, that are too small, or that differ in
        size from their original.
    """

    def check(group: Group) -> list[str]:
        problems: list[str] = []
        sizes = {}
        for file in filter(None, group.files):
            with candidates.open(file) as stream:
                sizes[file] = _size(stream, candidates.where(file), problems, decode=decode)
        expected = sizes[group.files[0]]
        for file, size in sizes.items():
            if size is not None and expected is not None and size != expected:
                problems.append(
                    f'{candidates.where(file)}: {_in_px(size)}, but its original is '
                    f'{_in_px(expected)}. Make all candidates of an image equal in size.'
                )
        if expected is not None and min(expected) < min_size:
            problems.append(
                f'{candidates.where(group.files[0])}: {_in_px(expected)}, at least {min_size} px '
                'are needed each way. Remove the group, or ask for smaller crops.'
            )
        return problems

    return _in_parallel(check, candidates.groups, progress)


def check_image_folder(
    folder: str, *, allow_grey: bool = False, decode: bool = False, progress: bool = False
) -> list[str]:
    """Check every image of a folder; returns problems, as `check_candidates`."""
    if not os.path.isdir(folder):
        return [f'{folder}: no such folder.']
    names = list(image_names(folder))
    if not names:
        return [f'{folder}: holds no image ({", ".join(SUFFIXES)}).']

    def check(name: str) -> list[str]:
        problems: list[str] = []
        _size_of_file(os.path.join(folder, name), problems, allow_grey=allow_grey, decode=decode)
        return problems

    return _in_parallel(check, names, progress)


def check_pairs(
    gt_folder: str,
    lq_folder: str,
    scale: int,
    *,
    exact: bool,
    filename_tmpl: str = '{}',
    allow_grey: bool = True,
    progress: bool = False,
) -> list[str]:
    """Check a paired data set of two folders.

    Args:
        gt_folder: Ground truths.
        lq_folder: Low-quality inputs.
        scale: Up-sampling factor.
        exact: Ask that each GT is exactly `scale` times its LQ; otherwise that the LQ has the size
            of the GT divided by `scale` and rounded down.
        filename_tmpl: Name of an LQ, without suffix, made from that of its GT, as in BasicSR.
        allow_grey: Accept greyscale images.
        progress: Show a progress bar.

    Returns:
        The problems: images without partner, of the wrong size, or that `inspect_image` refuses.
    """
    absent = [folder for folder in (gt_folder, lq_folder) if not os.path.isdir(folder)]
    if absent:
        return [f'{folder}: no such folder.' for folder in absent]
    partner = {}
    for name in image_names(gt_folder):
        stem, suffix = os.path.splitext(name)
        partner[name] = filename_tmpl.format(stem) + suffix
    lq_names = set(image_names(lq_folder))
    problems = [
        f'{os.path.join(lq_folder, name)}: missing. It is the LQ of {os.path.join(gt_folder, gt)}.'
        for gt, name in partner.items()
        if name not in lq_names
    ]
    problems += [
        f'{os.path.join(lq_folder, name)}: has no GT in {gt_folder}. Add it, or remove the LQ.'
        for name in sorted(lq_names - set(partner.values()))
    ]
    if not partner:
        problems.append(f'{gt_folder}: holds no image ({", ".join(SUFFIXES)}).')

    def check(pair: tuple[str, str]) -> list[str]:
        gt_path, lq_path = os.path.join(gt_folder, pair[0]), os.path.join(lq_folder, pair[1])
        found: list[str] = []
        gt, lq = (_size_of_file(path, found, allow_grey=allow_grey) for path in (gt_path, lq_path))
        if gt is None or lq is None:
            return found
        expected = tuple(side // scale for side in gt)
        if lq != expected or (exact and gt != tuple(side * scale for side in lq)):
            found.append(
                f'{gt_path}: {_in_px(gt)}, but its LQ {lq_path} is {_in_px(lq)}, which does not '
                f'fit scale {scale}. Make the GT {_in_px(tuple(side * scale for side in lq))}.'
            )
        return found

    pairs = [(gt, lq) for gt, lq in partner.items() if lq in lq_names]
    return problems + _in_parallel(check, pairs, progress)


def _in_parallel(
    check: Callable[[_T], list[str]], items: Iterable[_T], progress: bool
) -> list[str]:
    items = list(items)
    with ThreadPoolExecutor() as pool:
        found = tqdm(pool.map(check, items), 'checking', len(items), disable=not progress)
        return [problem for problems in found for problem in problems]


def _size_of_file(path: str, problems: list[str], **how: bool) -> tuple[int, int] | None:
    with open(path, 'rb') as stream:
        return _size(stream, path, problems, **how)


def _size(
    stream: BinaryIO,
    name: str,
    problems: list[str],
    *,
    allow_grey: bool = False,
    decode: bool = False,
) -> tuple[int, int] | None:
    """Inspect an image; None, and one more problem, if it is refused."""
    try:
        size = inspect_image(stream, name, allow_grey=allow_grey)
        if decode:
            stream.seek(0)
            decode_rgb(stream.read(), name)
        return size
    except ValueError as error:
        problems.append(str(error))
        return None


def _in_px(size: Sequence[int]) -> str:
    return f'{size[1]} x {size[0]} px'
