"""Photographs as files, and an enhancer whose result is known."""

import cv2
import numpy as np

from iqasr.data.files.image_files import decode_rgb
from iqasr.enhancement import UnsharpMask


def write_photograph(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1])


def read_photograph(path):
    return decode_rgb(path.read_bytes(), str(path))


def darkened(image):
    return (image * 0.5).astype(np.uint8)


class Darken(UnsharpMask):
    """Halves the grey levels, counting the photographs."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def enhance(self, photograph):
        self.count += 1
        return darkened(photograph)
