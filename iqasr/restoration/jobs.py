"""Which pictures are restored, and which files they become."""

import glob
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from iqasr.data.files.picture_writers import suffix_for
from iqasr.data.files.pictures import PICTURE_SUFFIXES
from iqasr.runtime.errors import InputError


@dataclass(frozen=True)
class Job:
    """A picture to restore.

    Attributes:
        source: Its file.
        target: The file that it becomes.
    """

    source: Path
    target: Path

    def is_done(self, since: float = 0.0) -> bool:
        """Whether the target is there, no older than the source, and written since a time."""
        try:
            return self.target.stat().st_mtime >= max(self.source.stat().st_mtime, since)
        except OSError:
            return False


def find_jobs(
    inputs: Sequence[str],
    output: Path,
    *,
    into: str = '',
    suffix: str = '',
    file_format: str | None = None,
) -> list[Job]:
    """List the pictures at some places, and the files that they become.

    Folders are searched at any depth, without what is hidden, and keep their structure. What lies
    in `output` below them, and what is itself the target of another picture, is none to restore.
    Two pictures that would become one file keep the whole of their names: ``a.png.png`` and
    ``a.jpg.png``.

    Args:
        inputs: Files, folders, and patterns such as ``photos/**/*.jpg``.
        output: Folder of the targets.
        into: Folder within `output`.
        suffix: Put behind each name.
        file_format: ``png``, ``tif``, ``jpg`` or ``webp``; None to keep that of the file, where
            it is one of these.

    Raises:
        InputError: If there is nothing at a place, or a target would replace a picture.
    """
    found = {file.resolve(): inside for file, inside in pictures_at(inputs, output)}

    def target(file: Path, name: str) -> Path:
        ending = suffix_for(file) if file_format is None else f'.{file_format}'
        return (output / into / found[file]).with_name(f'{name}{suffix}{ending}')

    targets = {file: target(file, file.stem) for file in found}
    shared = Counter(targets.values())
    targets |= {file: target(file, file.name) for file in found if shared[targets[file]] > 1}
    sources = {path.resolve(): file for file, path in targets.items()}
    if len(sources) < len(targets):
        path, _ = Counter(targets.values()).most_common(1)[0]
        raise InputError(f'several pictures would become {path}. Give each a folder of its own.')
    if replaced := [file for file in found if sources.get(file) == file]:
        raise InputError(
            f'{replaced[0]} would be overwritten. Name another folder, or give a --suffix.'
        )
    return [Job(file, targets[file]) for file in sorted(found) if file not in sources]


def pictures_at(inputs: Sequence[str], output: Path) -> Iterator[tuple[Path, Path]]:
    """Find the pictures at some places; see `find_jobs`.

    Yields:
        A file, and its path within the output.

    Raises:
        InputError: If there is nothing at a place.
    """
    several = sum(os.path.isdir(place) for place in inputs) > 1
    for place in inputs:
        path = Path(place).expanduser()
        if path.is_file():
            yield path, Path(path.name)
            continue
        # Of several folders, each has one of its own in the output.
        inside = Path(path.resolve().name) if several and path.is_dir() else Path()
        root = path if path.is_dir() else fixed_part(path)
        files = walk(path) if path.is_dir() else map(Path, glob.glob(str(path), recursive=True))
        left_out = output if is_below(output, root) and not is_below(root, output) else None
        count = 0
        for file in sorted(files):
            if is_picture(file) and (left_out is None or not is_below(file, left_out)):
                yield file, inside / file.relative_to(root)
                count += 1
        if not count:
            raise InputError(
                f'{place}: holds no picture.'
                if path.is_dir()
                else f'{place}: there is no such file or folder, and no picture matches it.'
            )


def fixed_part(pattern: Path) -> Path:
    """Return the folder before the first part of a path that has wildcards."""
    plain = itertools.takewhile(lambda part: not glob.has_magic(part), pattern.parts[:-1])
    return Path(*plain)


def walk(folder: Path) -> Iterator[Path]:
    """List the files in a folder, at any depth, but not in hidden folders."""
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != '.']
        yield from (Path(root, name) for name in files)


def is_picture(path: Path) -> bool:
    """Tell a picture by its name; what is hidden is none."""
    return path.suffix.lower() in PICTURE_SUFFIXES and path.name[0] != '.' and path.is_file()


def is_below(path: Path, folder: Path) -> bool:
    """Tell whether a path is a folder or lies in it."""
    return path.resolve().is_relative_to(folder.resolve())
