"""Writing pictures row by row: PNG and TIFF of any size never lie in memory as a whole.

Source:
    PNG (W3C, third edition), sections 5, 9 and 11. TIFF by tifffile, with strips made here.
"""

import io
import logging
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from iqasr.data.files.pictures import Shape
from iqasr.runtime.atomic_files import open_atomically
from iqasr.runtime.errors import DataError

logger = logging.getLogger('iqasr')

DEFLATE_LEVEL = 3
"""Files are a little larger than at the usual 6, and written in a third of the time."""

STRIP_ROWS = 64
"""Rows of a strip of TIFF."""

LOSSY_QUALITY = 95
CLASSIC_TIFF_BYTES = 2**32 - 2**26

PNG_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}
"""Colour type of a PNG by the number of channels."""

LONGEST_JPEG_EXIF = 65533
"""In bytes: they are one segment of the file."""

LARGEST_SIDE = {'.jpg': 65500, '.webp': 16383}


def write_picture(path: Path, shape: Shape, bands: Iterable[np.ndarray]) -> None:
    """Write a picture from bands of its rows; it is there as a whole or not at all.

    Args:
        path: Of a suffix that `format_of` knows. JPEG and WebP are made of 8 bits per
            channel, and of all rows at once. A JPEG does without EXIF entries that are too long for
            it.
        shape: What it is made of.
        bands: ``(h, W, C)`` from top to bottom, of any height, as `shape` says.

    Raises:
        DataError: If the format cannot hold it; the message does not name the file.
        StorageError: If it cannot be written.
    """
    suffix = format_of(path)
    refuse_what_is_lost(suffix, shape)
    write = WRITERS[suffix]
    if suffix == '.jpg' and len(shape.exif or b'') > LONGEST_JPEG_EXIF:
        logger.warning('%s: its EXIF entries are longer than JPEG allows; left out.', path)
        shape = shape._replace(exif=None)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_atomically(path) as file:
        write(file, shape, bands)


USE_PNG = 'Use PNG (--format png, or -o NAME.png).'


def refuse_what_is_lost(suffix: str, shape: Shape) -> None:
    """Refuse a picture that a format cannot hold."""
    most = LARGEST_SIDE.get(suffix)
    if most is not None and max(shape[:2]) > most:
        raise DataError(
            f'{shape.width} x {shape.height} px are more than {suffix} holds. {USE_PNG}'
        )
    if suffix == '.jpg' and shape.channels in (2, 4):
        raise DataError(f'is transparent, which JPEG cannot be. {USE_PNG}')


def write_png(file: BinaryIO, shape: Shape, bands: Iterable[np.ndarray]) -> None:
    """Write a PNG; see `write_picture`."""
    bits = 8 * shape.dtype.itemsize
    header = (shape.width, shape.height, bits, PNG_COLOURS[shape.channels], 0, 0, 0)
    file.write(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', *header)))
    if shape.profile:
        content = b'ICC profile\0\0' + zlib.compress(shape.profile)
        file.write(chunk(b'iCCP', content))
    if shape.exif:
        file.write(chunk(b'eXIf', shape.exif.removeprefix(b'Exif\0\0')))
    deflate = zlib.compressobj(DEFLATE_LEVEL)
    for band in bands:
        for first in range(0, len(band), STRIP_ROWS):
            rows = filtered(band[first : first + STRIP_ROWS])
            write_data(file, deflate.compress(rows))
    write_data(file, deflate.flush())
    file.write(chunk(b'IEND', b''))


def chunk(name: bytes, content: bytes) -> bytes:
    """Make a chunk of a PNG."""
    check = zlib.crc32(content, zlib.crc32(name))
    return struct.pack('>I', len(content)) + name + content + struct.pack('>I', check)


def write_data(file: BinaryIO, compressed: bytes) -> None:
    """Write image data of a PNG, if there is any yet."""
    if compressed:
        file.write(chunk(b'IDAT', compressed))


def filtered(rows: np.ndarray) -> bytes:
    """Filter rows for a PNG: each byte minus that of the pixel to its left."""
    height, width = rows.shape[:2]
    content = np.ascontiguousarray(rows, rows.dtype.newbyteorder('>')).view(np.uint8)
    content = content.reshape(height, width, -1)
    lines = np.empty((height, 1 + content[0].size), np.uint8)
    lines[:, 0] = 1
    lines[:, 1:] = differences(content).reshape(height, -1)
    return lines.tobytes()


def differences(rows: np.ndarray) -> np.ndarray:
    """Subtract from each pixel of ``(H, W, C)`` the one to its left; what overflows wraps."""
    found = rows.copy()
    found[:, 1:] -= rows[:, :-1]
    return found


def write_tiff(file: BinaryIO, shape: Shape, bands: Iterable[np.ndarray]) -> None:
    """Write a TIFF, beyond 4 GB a BigTIFF; see `write_picture`."""
    import tifffile

    size = (shape.height, shape.width, *[shape.channels] * (shape.channels > 1))
    tifffile.imwrite(
        file,
        (zlib.compress(differences(rows), DEFLATE_LEVEL) for rows in strips(bands)),
        shape=size,
        dtype=shape.dtype.newbyteorder('<'),
        byteorder='<',
        photometric='rgb' if shape.channels > 2 else 'minisblack',
        planarconfig='contig' if shape.channels > 1 else None,
        extrasamples=['unassalpha'] if shape.channels in (2, 4) else None,
        compression='zlib',
        predictor=True,
        rowsperstrip=STRIP_ROWS,
        bigtiff=shape.nbytes > CLASSIC_TIFF_BYTES,
        iccprofile=shape.profile,
        metadata=None,
    )


def strips(bands: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Cut bands into strips of `STRIP_ROWS` rows; the last one may be lower."""
    rest: list[np.ndarray] = []
    count = 0
    for band in bands:
        rest.append(band)
        count += len(band)
        if count >= STRIP_ROWS:
            joined = np.concatenate(rest)
            whole = count // STRIP_ROWS * STRIP_ROWS
            yield from np.split(joined[:whole], whole // STRIP_ROWS)
            rest, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(rest)


def write_by_pillow(file_format: str, **options: Any) -> Callable[..., None]:
    """Make the writer of a format that Pillow writes, of 8 bits, from all rows at once."""

    def write(file: BinaryIO, shape: Shape, bands: Iterable[np.ndarray]) -> None:
        pixels = np.concatenate([in_8_bits(band) for band in bands])
        if shape.channels == 2:
            pixels = pixels[..., [0, 0, 0, 1]]
        image = Image.fromarray(pixels[..., 0] if shape.channels == 1 else pixels)
        kept = {'icc_profile': shape.profile, 'exif': shape.exif}
        content = io.BytesIO()
        image.save(content, file_format, **options, **{k: v for k, v in kept.items() if v})
        file.write(content.getbuffer())

    return write


def in_8_bits(pixels: np.ndarray) -> np.ndarray:
    """Round uint16 to uint8; uint8 stays."""
    if pixels.dtype == np.uint8:
        return pixels
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


WRITERS = {
    '.png': write_png,
    '.tif': write_tiff,
    '.jpg': write_by_pillow('JPEG', quality=LOSSY_QUALITY, subsampling=0),
    '.webp': write_by_pillow('WEBP', quality=LOSSY_QUALITY),
}
"""By suffix."""


def is_written_whole(suffix: str) -> bool:
    """Tell whether all rows of such a file must be in memory at once."""
    return suffix in LARGEST_SIDE


def format_of(path: Path) -> str | None:
    """Return the suffix in `WRITERS` that a file's own stands for; None if there is none.

    Example:
        >>> [format_of(Path(name)) for name in ('a.JPEG', 'b.gif')]
        ['.jpg', None]
    """
    suffix = path.suffix.lower()
    suffix = {'.jpeg': '.jpg', '.tiff': '.tif'}.get(suffix, suffix)
    return suffix if suffix in WRITERS else None


def suffix_for(source: Path) -> str:
    """Choose the suffix that keeps what a picture file can hold: its own, or ``.png``.

    Example:
        >>> [suffix_for(Path(name)) for name in ('a.JPEG', 'b.gif', 'c.tiff')]
        ['.jpg', '.png', '.tif']
    """
    return format_of(source) or '.png'
