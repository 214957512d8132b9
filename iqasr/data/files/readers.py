"""Reading the images of a data set, wherever they lie."""

import logging
from abc import abstractmethod
from collections.abc import Mapping
from typing import BinaryIO, Protocol

import numpy as np

from iqasr.data.files.image_files import (
    content_hash,
    conversion_to_srgb,
    decode_rgb,
    inspect_image,
    inspect_with_profile,
)

logger = logging.getLogger('iqasr')


class Reader(Protocol):
    """Reads an image by its name in the set; may cross processes by fork or pickle."""

    def image(self, file: str) -> np.ndarray:
        """Read an image: ``(H, W, 3)`` RGB, uint8 or, if asked for, uint16.

        Perhaps it is a view, of which nothing is read yet.
        """

    def content_hash(self, file: str) -> str:
        """Hash the image file; of a store, the file that it was made from."""

    def inspect(self, file: str, *, decode: bool = False) -> tuple[int, int]:
        """Check an image; with `decode`, all of it. Returns height and width."""

    def where(self, file: str) -> str:
        """Name the image in a message."""

    def remember(self, sizes: Mapping[str, tuple[int, int]]) -> None:
        """Keep sizes that were found by `inspect` for the next start, where it helps."""

    def close(self) -> None:
        """Give back what this process holds open; reading opens it again."""


class EncodedReader(Reader):
    """Reads images that are stored as image files."""

    allow_grey = False
    """Whether `inspect` accepts greyscale images."""

    bits = 8
    """Of the pixels: 8, or 16, of images that have them or not."""

    is_option = False
    """Whether the options ``grey`` and ``bits`` decide both, which errors then name."""

    @abstractmethod
    def open(self, file: str) -> BinaryIO:
        """Open one image file for reading."""

    def read(self, file: str) -> bytes:
        """Read one image file."""
        with self.open(file) as stream:
            return stream.read()

    def image(self, file: str) -> np.ndarray:
        """Decode an image, as `decode_rgb`."""
        return decode_rgb(self.read(file), self.where(file), self.bits)

    def content_hash(self, file: str) -> str:
        """Hash the image file."""
        return content_hash(self.read(file))

    def inspect(self, file: str, *, decode: bool = False) -> tuple[int, int]:
        """Look at the first and last bytes of an image, or decode it."""
        with self.open(file) as stream:
            how = {'bits': self.bits, 'is_option': self.is_option}
            size = inspect_image(stream, self.where(file), allow_grey=self.allow_grey, **how)
            if decode:
                stream.seek(0)
                decode_rgb(stream.read(), self.where(file), self.bits)
        return size


class FileReader(EncodedReader):
    """Reads image files by path.

    Args:
        allow_grey: Accept greyscale images.
        of_basicsr: Whether BasicSR reads the pixels, which drops colour profiles; the first image
            of other colours than sRGB is then named in a warning.
    """

    of_basicsr = has_warned = False

    def __init__(self, *, allow_grey: bool = False, of_basicsr: bool = False) -> None:
        self.allow_grey, self.of_basicsr = allow_grey, of_basicsr

    def inspect(self, file: str, *, decode: bool = False) -> tuple[int, int]:
        """Look at the first and last bytes of an image, or decode it."""
        if self.of_basicsr and not self.has_warned:
            with self.open(file) as stream:
                how = {'allow_grey': self.allow_grey}
                size, profile = inspect_with_profile(stream, self.where(file), **how)
            if conversion_to_srgb(profile, self.where(file)) is not None:
                self.has_warned = True
                logger.warning(
                    '%s, and perhaps others: its colour profile is not sRGB. BasicSR reads it as '
                    'if it were, so that colours change; convert the images to sRGB.',
                    file,
                )
            if not decode:
                return size
        return super().inspect(file, decode=decode)

    def open(self, file: str) -> BinaryIO:
        """Open one image file."""
        return open(file, 'rb')

    def where(self, file: str) -> str:
        """Name the file: its path."""
        return file
