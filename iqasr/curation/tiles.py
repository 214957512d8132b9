"""Tiles of photographs, read as the images of a set."""

import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from iqasr.data.files.image_files import decode_rgb, is_image_name
from iqasr.data.files.photographs import reduced
from iqasr.data.files.readers import EncodedReader
from iqasr.runtime.crops import Place, cut_square
from iqasr.runtime.errors import DataError


class Tile(NamedTuple):
    """Where a tile lies."""

    photograph: str
    """Name of the photograph, as from `find_photographs`."""
    place: Place
    """Top and left in the photograph after its reduction, in pixels."""


def find_photographs(folder: str, without: Path) -> dict[str, Path]:
    """Find the photographs in a folder and its sub-folders.

    Args:
        folder: The folder.
        without: A folder that is passed over, where it lies inside.

    Returns:
        Files by name: the path below `folder` without suffix, blanks replaced, as lists of images
        end a name at the first blank. Of two with one name, the second is called by its suffix as
        well.

    Raises:
        DataError: If there is no such folder, or no photograph in it.
    """
    if not os.path.isdir(folder):
        raise DataError(f'{folder}: there is no such folder of photographs.')
    found: dict[str, Path] = {}
    for path in sorted(Path(folder).rglob('*')):
        below = path.relative_to(folder)
        passed_over = is_hidden(below) or without.resolve() in path.resolve().parents
        if is_image_name(path.name) and path.is_file() and not passed_over:
            name = re.sub(r'\s', '_', below.with_suffix('').as_posix())
            while name in found:
                name += path.suffix.replace('.', '-')
            found[name] = path
    if not found:
        raise DataError(f'{folder}: holds no photographs.')
    return found


def is_hidden(path: Path) -> bool:
    """Tell whether the name of a file, or of a folder above it, begins with a dot."""
    return any(part.startswith('.') for part in path.parts)


def places_in(height: int, width: int, tile_px: int) -> list[Place]:
    """List the places of tiles side by side; what is left over is left at all four sides."""
    spans = [range(side % tile_px // 2, side - tile_px + 1, tile_px) for side in (height, width)]
    return [(top, left) for top in spans[0] for left in spans[1]]


def tile_name(photograph: str, place: Place) -> str:
    """Name a tile after its photograph and place."""
    return f'{photograph}-{place[0]}-{place[1]}'


class TileReader(EncodedReader):
    """Reads tiles by name. A photograph is decoded once for tiles that are read in turn.

    Args:
        photographs: Files by name.
        tiles: Tiles by name.
        tile_px: Side of a tile.
        reduce: Factor by which photographs are reduced first.
    """

    def __init__(
        self,
        photographs: Mapping[str, Path],
        tiles: Mapping[str, Tile],
        tile_px: int,
        reduce: float = 1,
    ) -> None:
        self.photographs, self.tiles = photographs, tiles
        self.tile_px, self.reduce = tile_px, reduce
        self.bytes_of: tuple[str, bytes] = ('', b'')
        self.pixels_of: tuple[str, np.ndarray] = ('', np.empty(0))

    def open(self, file: str) -> BinaryIO:
        """Open the photograph of a tile, and its place, which both tell it from others."""
        photograph, place = self.tiles[file]
        if self.bytes_of[0] != photograph:
            self.bytes_of = photograph, self.photographs[photograph].read_bytes()
        return io.BytesIO(self.bytes_of[1] + f'{place} {self.tile_px} {self.reduce}'.encode())

    def photograph(self, name: str) -> np.ndarray:
        """Read a photograph, ``(H, W, 3)`` uint8 RGB, reduced.

        Raises:
            DataError: If it cannot be decoded.
        """
        if self.pixels_of[0] != name:
            path = self.photographs[name]
            image = decode_rgb(path.read_bytes(), str(path))
            self.pixels_of = name, reduced(image, self.reduce)
        return self.pixels_of[1]

    def image(self, file: str) -> np.ndarray:
        """Read a tile."""
        photograph, place = self.tiles[file]
        return cut_square(self.photograph(photograph), place, self.tile_px)

    def where(self, file: str) -> str:
        """Name the photograph and the place."""
        photograph, place = self.tiles[file]
        return f'{self.photographs[photograph]}, tile at {place}'
