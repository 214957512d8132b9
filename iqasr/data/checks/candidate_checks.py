"""Check candidate ground truths and folders of images before a run meets them."""

import os

from iqasr.data.candidates.candidate_set import CandidateSet
from iqasr.data.candidates.group import Group
from iqasr.data.files.image_files import SUFFIXES, file_names, image_names, is_image_name
from iqasr.data.files.inspection import in_parallel, in_px, inspect_each
from iqasr.data.files.readers import FileReader, Reader
from iqasr.data.scores.known_quality import KnownQuality


def check_candidates(
    candidates: CandidateSet,
    *,
    min_size: int = 1,
    decode: bool = False,
    quality: KnownQuality | None = None,
) -> list[str]:
    """Check every image of a set of candidates, several at a time.

    Args:
        candidates: The set.
        min_size: Least height and width, in pixels.
        decode: Decode every image, or compare it with its checksum. Otherwise files are looked at
            by their first and last bytes, and images in a store not at all: they were when it was
            made.
        quality: Of all candidates or their crops; every image is read, to see that it is what was
            scored.

    Returns:
        The problems: images that `inspect_image` refuses, that are too small, that differ in size
        from their original, or that have changed since they were scored.
    """
    reader, found = candidates.reader, {}

    def check(group: Group) -> list[str]:
        problems: list[str] = []
        sizes = inspect_each(reader, group.present.values(), problems, decode=decode)
        found.update(sizes)
        if group.files[0] in sizes:
            problems += _wrong_sizes(reader, group, sizes, min_size)
        if quality is not None and not problems:
            problems += _changed_images(reader, group, quality)
        return problems

    problems = in_parallel(check, candidates.groups)
    if not problems:
        reader.remember(found)
    return problems


def _wrong_sizes(
    reader: Reader, group: Group, sizes: dict[str, tuple[int, int]], min_size: int
) -> list[str]:
    original = group.files[0]
    expected = sizes[original]
    problems = [
        f'{reader.where(file)}: {in_px(sizes[file])}, but its original is {in_px(expected)}. '
        'Make all candidates of an image equal in size.'
        for file in group.present.values()
        if sizes.get(file, expected) != expected
    ]
    if min(expected) < min_size:
        problems.append(
            f'{reader.where(original)}: {in_px(expected)}, at least {min_size} px '
            'are needed each way. Remove the group, or ask for smaller crops.'
        )
    return problems


def _changed_images(reader: Reader, group: Group, quality: KnownQuality) -> list[str]:
    return [
        f'{reader.where(file)}: has changed since it was scored. {quality.how_to_update}'
        for name, file in group.present.items()
        if reader.content_hash(file) != quality.content_hash(group.key, name)
    ]


def check_image_folder(folder: str, *, allow_grey: bool = False) -> list[str]:
    """Check every image of a folder; returns problems, as `check_candidates`."""
    names = list(image_names(folder))
    if not names:
        return [f'{folder}: holds no image ({", ".join(SUFFIXES)}).']

    reader = FileReader(allow_grey=allow_grey, of_basicsr=True)

    def check(name: str) -> None:
        reader.inspect(os.path.join(folder, name))

    return in_parallel(check, names)


def check_other_files(folder: str) -> list[str]:
    """Find what is no image in a folder, all files of which BasicSR would read as images."""
    return [
        f'{os.path.join(folder, name)}: not an image ({", ".join(SUFFIXES)}), but BasicSR reads '
        'all files of a folder. Move it elsewhere.'
        for name in file_names(folder)
        if not is_image_name(name)
    ]
