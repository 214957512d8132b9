"""Decoding image files, and finding their faults without decoding."""

import functools
import hashlib
import io
import logging
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import Image, ImageCms

from iqasr.runtime.errors import DataError

logger = logging.getLogger('iqasr')

SRGB_TOLERANCE = 2
"""Levels by which colours of a profile may differ from sRGB, which is rounded in many ways."""

SUFFIXES = ('.png', '.jpg', '.jpeg', '.webp', '.bmp', '.tif', '.tiff')
"""Suffixes of image files, lower case."""


_END_OF_FILE = {'PNG': b'\x00\x00\x00\x00IEND\xaeB`\x82', 'JPEG': b'\xff\xd9'}
_GREY_MODES = ('1', 'L', 'I;16', 'I;16B')
_COLOUR_MODES = ('RGB', 'P')
_ORIENTATION, _FIRST_SIDEWAYS_ORIENTATION = 274, 5
_BITS_PER_SAMPLE, _PLANAR = 258, 284
_UNUSABLE: set[bytes] = set()
"""Profiles of which a warning was given."""


def image_names(folder: str) -> Iterator[str]:
    """List the image files directly inside a folder, sorted, by their suffix."""
    return (name for name in file_names(folder) if is_image_name(name))


def file_names(folder: str) -> list[str]:
    """List the files directly inside a folder, sorted; hidden ones are left out, as in BasicSR."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_file() and entry.name[0] != '.')


def folder_names(folder: str) -> list[str]:
    """List the folders directly inside a folder, sorted; hidden ones are left out."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and entry.name[0] != '.')


def image_paths(root: str, entered: set[str] | None = None) -> list[str]:
    """List the image files at any depth of a folder.

    Links to folders are followed, and each folder is entered once, so that loops end.

    Args:
        root: The folder.
        entered: Real paths of folders that count as entered already; receives the others.

    Returns:
        Paths relative to the folder, sorted. A folder that cannot be read is left out, and named.
    """
    found: list[str] = []
    pending, entered = [''], set() if entered is None else entered
    for below in pending:
        folder = os.path.join(root, below)
        place = os.path.realpath(folder)
        if place in entered:
            continue
        entered.add(place)
        try:
            found += [os.path.join(below, name) for name in image_names(folder)]
            pending += [os.path.join(below, name) for name in folder_names(folder)]
        except OSError as error:
            logger.warning('%s: left out, since it cannot be read (%s).', folder, error.strerror)
    return sorted(found)


def warn_of_nested_images(folder: str) -> None:
    """Say that images in folders inside a folder are not used, if there are any."""
    nested = [path for path in image_paths(folder) if os.path.dirname(path)]
    if nested:
        places = sorted({path.split(os.sep)[0] for path in nested})
        shown = ', '.join(places[:3] + ['...'] * (len(places) > 3))
        text = '%s: %d images in sub-folders (%s) are not used. Move them up to use them.'
        logger.warning(text, folder, len(nested), shown)


def is_image_name(name: str) -> bool:
    """Tell an image by the suffix of its name."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def content_hash(data: bytes) -> str:
    """Hash the bytes of an image file, to tell whether it is still what was scored."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def decode_rgb(data: bytes, name: str, bits: int = 8) -> np.ndarray:
    """Decode an image.

    Args:
        data: The bytes of an image file. Greyscale is repeated over the channels; colours of an
            embedded ICC profile are converted to sRGB.
        name: What the error calls the image.
        bits: 8, or 16: images of 16 bits are taken, too, and those of 8 bits widened.

    Returns:
        ``(H, W, 3)`` RGB, uint8 in [0, 255] or uint16 in [0, 65535].

    Raises:
        DataError: If the image is broken, cut short, has more than `bits` or transparency, or has
            16 bits of other colours than sRGB.
    """
    _, profile = inspect_with_profile(data, name, allow_grey=True, bits=bits)
    depth = cv2.IMREAD_ANYDEPTH if bits > 8 else 0
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | depth)
    if image is None:
        raise DataError(f'{name}: cannot be decoded. Copy or download it again.')
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB, image)
    conversion = conversion_to_srgb(profile, name)
    if conversion is not None and image.dtype != np.uint8:
        raise DataError(f'{name}: its profile is not sRGB. Convert it, or save it with 8 bits.')
    image = image if conversion is None else apply_conversion(conversion, image)
    return image if bits == 8 or image.dtype != np.uint8 else image * np.uint16(257)


def conversion_to_srgb(profile: bytes | None, name: str) -> ImageCms.ImageCmsTransform | None:
    """Make the conversion from an ICC profile to sRGB.

    Args:
        profile: Of an image.
        name: What a warning calls the image.

    Returns:
        The conversion, relative colorimetric; None if there is no profile, it is sRGB as far as 8
        bits tell, or it cannot be used, which is said of the first image that has it.
    """
    if not profile:
        return None
    conversion, problem = make_conversion(profile)
    if problem and profile not in _UNUSABLE:
        _UNUSABLE.add(profile)
        logger.warning(
            '%s, and perhaps others: its colour profile cannot be used (%s): taken for sRGB.',
            name,
            problem,
        )
    return conversion


@functools.lru_cache(maxsize=64)
def make_conversion(profile: bytes) -> tuple[ImageCms.ImageCmsTransform | None, str]:
    """Make the conversion of `conversion_to_srgb`; and say why that is impossible, if so."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = 'L' if source.profile.xcolor_space.strip() == 'GRAY' else 'RGB'
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        conversion = ImageCms.buildTransform(
            source, ImageCms.createProfile('sRGB'), mode, 'RGB', intent
        )
    except (ImageCms.PyCMSError, OSError) as error:
        return None, str(error) or type(error).__name__
    levels = np.arange(0, 256, 15, np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(len(levels), -1, 3)
    if mode == 'L':
        colours[:] = colours[..., :1]
    change = np.abs(apply_conversion(conversion, colours).astype(int) - colours).max()
    return conversion if change > SRGB_TOLERANCE else None, ''


def apply_conversion(conversion: ImageCms.ImageCmsTransform, image: np.ndarray) -> np.ndarray:
    """Convert the colours of ``(H, W, 3)`` uint8 RGB; of grey ones, the channels are equal."""
    grey = conversion.input_mode == 'L'
    source = Image.fromarray(np.ascontiguousarray(image[..., 0]) if grey else image)
    return np.array(ImageCms.applyTransform(source, conversion))


def inspect_image(source: bytes | BinaryIO, name: str, **accepted: Any) -> tuple[int, int]:
    """Check an image as `inspect_with_profile`; returns height and width."""
    return inspect_with_profile(source, name, **accepted)[0]


def inspect_with_profile(
    source: bytes | BinaryIO,
    name: str,
    *,
    allow_grey: bool = False,
    bits: int = 8,
    is_option: bool = False,
) -> tuple[tuple[int, int], bytes | None]:
    """Check an image by its first and last bytes; only a file with an odd ending is decoded.

    Args:
        source: The bytes of an image file, or the file opened for reading.
        name: What the errors call the image.
        allow_grey: Accept greyscale images.
        bits: Accept so many bits per channel, 8 or 16.
        is_option: Whether options ``grey`` and ``bits`` decide that, which the errors then name.

    Returns:
        Height and width as `decode_rgb` returns them (turned as the file's EXIF entry says), and
        the ICC profile, if there is one.

    Raises:
        DataError: If it is no image, cut short, has transparency, unknown colours, more bits than
            are accepted, or is greyscale when that is not allowed. The message names the image and
            the remedy.
    """
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    size = stream.seek(0, os.SEEK_END)
    if size == 0:
        raise DataError(f'{name}: empty (0 bytes). Copy or download it again.')
    try:
        with Image.open(stream, formats=('PNG', 'JPEG', 'WEBP', 'BMP', 'TIFF')) as image:
            _check_pixels(image, stream, name, allow_grey, bits, is_option)
            _check_complete(image, stream, size, name)
            height, width = image.height, image.width
            size = (width, height) if _is_sideways(image) else (height, width)
            return size, image.info.get('icc_profile')
    except (OSError, SyntaxError) as error:
        raise DataError(
            f'{name}: not an image that can be read ({type(error).__name__}). '
            'Remove it, or export it again as PNG.'
        ) from error


def _check_pixels(
    image: Image.Image,
    stream: BinaryIO,
    name: str,
    allow_grey: bool,
    bits: int,
    is_option: bool,
) -> None:
    found = bits_per_channel(image, stream)
    if found > bits:
        hint = ', or set `bits: 16`' if is_option and found <= 16 else ''
        remedy = f'Convert it to {bits} bits{hint}.'
        raise DataError(f'{name}: more than {bits} bits per channel. {remedy}')
    if found > 8 and getattr(image, 'tag_v2', {}).get(_PLANAR, 1) != 1:
        raise DataError(f'{name}: its colours lie in separate planes. Save it interleaved.')
    if 'transparency' in image.info or image.mode in ('RGBA', 'LA', 'PA', 'RGBa', 'La'):
        what = 'transparency (an alpha channel, even if opaque)'
        raise DataError(f'{name}: has {what}. Flatten it and save it as RGB.')
    if image.mode in _GREY_MODES and not allow_grey:
        hint = ', or set `grey: true`' if is_option else ''
        raise DataError(f'{name}: greyscale. Training takes RGB; save it as RGB{hint}.')
    if image.mode not in _GREY_MODES + _COLOUR_MODES:
        raise DataError(f'{name}: its colours are {image.mode}. Save it as RGB.')


def bits_per_channel(image: Image.Image, stream: BinaryIO) -> int:
    """Find the bits per channel of an image that is opened from a stream."""
    if image.format == 'PNG':  # Pillow reads 16-bit RGB as 8-bit, without a word
        stream.seek(24)
        return stream.read(1)[0]
    if image.format == 'TIFF':
        return max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,)))
    return 16 if image.mode.startswith('I;16') else 8  # such as grey JPEG 2000


def _check_complete(image: Image.Image, stream: BinaryIO, size: int, name: str) -> None:
    ending = _END_OF_FILE.get(image.format, b'')
    stream.seek(max(0, size - len(ending)))
    if ending and stream.read() == ending:
        return
    try:
        stream.seek(0)
        with Image.open(stream) as fresh:
            fresh.load()
    except (OSError, SyntaxError) as error:
        raise DataError(
            f'{name}: cut short or damaged ({size} bytes). Copy or download it again.'
        ) from error


def _is_sideways(image: Image.Image) -> bool:
    if 'exif' not in image.info:
        return False
    exif = Image.Exif()
    exif.load(image.info['exif'])
    return exif.get(_ORIENTATION, 1) >= _FIRST_SIDEWAYS_ORIENTATION
