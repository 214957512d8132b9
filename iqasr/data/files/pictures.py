"""Pictures of every kind: grey or colour, opaque or not, of 8 or 16 bits, with their entries.

Training and tests read 8-bit RGB, see `iqasr.data.files.image_files`. Here nothing is lost.
"""

import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageCms

from iqasr.data.files.image_files import SUFFIXES, bits_per_channel
from iqasr.runtime.errors import DataError

logger = logging.getLogger('iqasr')

PICTURE_SUFFIXES = (
    *SUFFIXES, '.gif', '.avif', '.heic', '.heif', '.jp2', '.jxl', '.ppm', '.pgm', '.tga', '.hdr',
    '.exr',
)  # fmt: skip
"""Suffixes by which a picture is known in a folder, lower case; some of them cannot be read."""

FLOAT_SUFFIXES = ('.hdr', '.exr')
VIDEO_SUFFIXES = ('.mp4', '.m4v', '.mkv', '.avi', '.mov', '.webm')
TOO_DEEP = 'of floats, or of more than 16 bits per channel. Convert it to 16 bits.'

FLOAT_MODES = ('F', 'I')
GREY_MODES = ('1', 'L', 'LA', 'La', 'I;16', 'I;16B', 'I;16L')
COLOUR_MODES = ('P', 'PA', 'RGB', 'RGBA', 'RGBa', 'RGBX', 'CMYK', 'YCbCr')
ALPHA_MODES = ('LA', 'La', 'PA', 'RGBA', 'RGBa')

_ORIENTATION, _EXIF_FOLDER, _EXIF_SIZE = 274, 0x8769, (0xA002, 0xA003)
_PHOTOMETRIC, _PLANAR, _EXTRA_SAMPLES = 262, 284, 338
_WHITE_IS_ZERO, _SEPARATE, _ASSOCIATED = 0, 2, 1
_GREY_PNG = (0, 4)


class Shape(NamedTuple):
    """What a picture file is made of, but for its pixels."""

    height: int
    width: int
    channels: int
    """1: grey, 2: grey and alpha, 3: RGB, 4: RGB and alpha."""
    dtype: np.dtype
    """uint8 or uint16."""
    profile: bytes | None = None
    """ICC profile that the colours are of; None for sRGB."""
    exif: bytes | None = None
    """EXIF entries; the picture is upright."""

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels."""
        return self.height * self.width * self.channels * self.dtype.itemsize


@dataclass
class Picture:
    """A picture, upright.

    Attributes:
        pixels: ``(H, W, C)`` uint8 or uint16, as the file has it; C is 1: grey, or 3: RGB.
        alpha: ``(H, W, 1)`` of the same type, where something is transparent; otherwise None.
        profile: ICC profile of the colours; None for sRGB.
        exif: EXIF entries, without the orientation.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    profile: bytes | None = None
    exif: bytes | None = None

    def enlarged(self, scale: float) -> Shape:
        """Describe this picture at another scale; sides are rounded, and at least 1 px."""
        height, width = (max(1, round(side * scale)) for side in self.pixels.shape[:2])
        channels = self.pixels.shape[-1] + (self.alpha is not None)
        return Shape(height, width, channels, self.pixels.dtype, self.profile, self.exif)


def read_picture(path: Path) -> Picture:
    """Read a picture of any kind.

    Colours are those of the file, with its profile; only CMYK is converted, by its profile if it
    has one, to sRGB. The picture is turned as its EXIF entry says.

    Args:
        path: PNG, JPEG, WebP, TIFF, BMP, or whatever else Pillow reads.

    Raises:
        DataError: If it is no picture, broken, animated or of several pages, or has more than 16
            bits. The message begins with the reason; it does not name the file.
    """
    try:
        with Image.open(path) as image:
            refuse_several(image)
            return decode_picture(image, path)
    except DataError:
        raise
    except Image.UnidentifiedImageError as error:
        raise DataError(why_unknown(path)) from error
    except MemoryError:
        raise
    except Exception as error:  # whatever a decoder fails with on a broken file
        reason = str(error) or type(error).__name__
        raise DataError(f'broken, or cannot be read ({reason}).') from error


def why_unknown(path: Path) -> str:
    """Say what a file is that Pillow does not know."""
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return f'a video. Extract its frames first (ffmpeg -i {path.name} frames/%06d.png).'
    if suffix in FLOAT_SUFFIXES or is_deep_tiff(path):
        return TOO_DEEP
    return 'not a picture that can be read.'


def is_deep_tiff(path: Path) -> bool:
    """Tell a TIFF of floats, or of more than 16 bits per channel."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            kind = file.pages[0].dtype
    except Exception:  # whatever it fails with on a file that is none
        return False
    return kind is not None and (kind.kind == 'f' or kind.itemsize > 2)


def refuse_several(image: Image.Image) -> None:
    """Refuse animations and documents; of a phone's stack of views, the first is the picture."""
    frames = getattr(image, 'n_frames', 1)
    if frames > 1 and image.format != 'MPO':
        what = f'has {frames} pages' if image.format == 'TIFF' else f'is animated, {frames} frames'
        raise DataError(f'{what}. Restore them one by one.')


def decode_picture(image: Image.Image, path: Path) -> Picture:
    """Decode an opened picture."""
    deep = bits_of(image, path) > 8
    if image.mode not in (*GREY_MODES, *COLOUR_MODES):
        is_deep = image.mode in FLOAT_MODES
        raise DataError(TOO_DEEP if is_deep else f'its colours are {image.mode}. Save it as RGB.')
    grey = is_grey(image, path)
    profile, exif = image.info.get('icc_profile') or None, image.getexif()
    orientation = exif.get(_ORIENTATION, 1)
    if deep:
        pixels, turned = decode_deep(image, path)
    else:
        pixels = decode_8_bits(image, profile, path)
        turned = image.format == 'TIFF'  # by Pillow
    pixels = pixels if turned else upright(pixels, orientation)
    alpha = np.ascontiguousarray(pixels[..., -1:]) if pixels.shape[-1] in (2, 4) else None
    if alpha is not None and alpha.min() == np.iinfo(alpha.dtype).max:
        alpha = None
    return Picture(
        np.ascontiguousarray(pixels[..., : 1 if grey else 3]),
        alpha,
        None if image.mode == 'CMYK' else profile,
        None if image.format == 'TIFF' else kept_exif(exif),
    )


def is_grey(image: Image.Image, path: Path) -> bool:
    """Tell grey from colour; Pillow makes colours of a PNG of 16-bit grey and alpha."""
    if image.format == 'PNG':
        with path.open('rb') as stream:
            return stream.read(26)[25] in _GREY_PNG
    return image.mode in GREY_MODES


def bits_of(image: Image.Image, path: Path) -> int:
    """Find the bits per channel, which Pillow does not tell."""
    with path.open('rb') as stream:
        return bits_per_channel(image, stream)


def decode_8_bits(image: Image.Image, profile: bytes | None, path: Path) -> np.ndarray:
    """Decode ``(H, W, C)`` uint8: L, RGB or, if it is transparent, RGBA."""
    if image.mode == 'CMYK':
        return np.asarray(cmyk_to_srgb(image, profile, path))
    transparent = image.mode in ALPHA_MODES or 'transparency' in image.info
    mode = 'RGBA' if transparent else 'L' if image.mode in GREY_MODES else 'RGB'
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return pixels.reshape(*pixels.shape[:2], -1)


def cmyk_to_srgb(image: Image.Image, profile: bytes | None, path: Path) -> Image.Image:
    """Convert CMYK by its profile; as an ideal printer's without one, or, with a warning, if it is
    broken.
    """
    if profile:
        srgb, intent = ImageCms.createProfile('sRGB'), ImageCms.Intent.RELATIVE_COLORIMETRIC
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(image, source, srgb, intent, 'RGB')
        except (ImageCms.PyCMSError, OSError) as error:
            logger.warning(
                '%s: its colour profile cannot be used (%s): taken for the inks of an ideal '
                'printer. Compare its colours.',
                path,
                error,
            )
    return image.convert('RGB')


def decode_deep(image: Image.Image, path: Path) -> tuple[np.ndarray, bool]:
    """Decode ``(H, W, C)`` uint16, with alpha where the file has it; and whether it is turned."""
    if image.format not in ('PNG', 'TIFF'):  # Pillow widens 9 to 15 bits, OpenCV does not
        return np.asarray(image).astype(np.uint16)[..., None], False
    if image.format == 'PNG':
        with Image.open(path) as fresh:
            fresh.load()  # notices damage that OpenCV passes over
        return decode_by_opencv(path), False
    import tifffile

    try:
        pixels, turned = tifffile.imread(path), False
        if image.tag_v2.get(_PLANAR) == _SEPARATE and pixels.ndim == 3:
            pixels = pixels.transpose(1, 2, 0)
        pixels = pixels.reshape(*pixels.shape[:2], -1)
    except ValueError:  # tifffile cannot decompress LZW by itself
        pixels, turned = decode_by_opencv(path), True
    if pixels.dtype != np.uint16 or image.mode == 'CMYK':
        raise DataError(f'its colours are {image.mode}, {pixels.dtype}. Save it as RGB, 16 bits.')
    if image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        pixels = 65535 - pixels
    if image.tag_v2.get(_EXTRA_SAMPLES, (0,))[0] == _ASSOCIATED:
        pixels = without_alpha_in_colours(pixels)
    return pixels, turned


def decode_by_opencv(path: Path) -> np.ndarray:
    """Decode ``(H, W, C)`` as it lies in a file; a TIFF is turned as it says."""
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise DataError('broken, or cannot be read.')
    if pixels.ndim == 2:
        return pixels[..., None]
    swapped = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}[pixels.shape[-1]]
    return cv2.cvtColor(pixels, swapped, pixels)


def without_alpha_in_colours(pixels: np.ndarray) -> np.ndarray:
    """Divide colours by their alpha, by which they were multiplied; uint16, alpha last."""
    alpha = np.maximum(pixels[..., -1:], 1).astype(np.float32)
    colours = np.minimum(np.rint(pixels[..., :-1] * (65535 / alpha)), 65535)
    return np.concatenate([colours.astype(np.uint16), pixels[..., -1:]], -1)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn and mirror a picture as the entry of EXIF says, 1 to 8; anything else leaves it."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def kept_exif(exif: Image.Exif) -> bytes | None:
    """Write EXIF entries without what no longer holds: orientation and size."""
    if not len(exif):
        return None
    exif.pop(_ORIENTATION, None)
    for size in _EXIF_SIZE:
        exif.get_ifd(_EXIF_FOLDER).pop(size, None)
    return exif.tobytes()
