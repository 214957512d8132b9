import numpy as np
import pytest
from PIL import Image

from iqasr.data.files.pictures import Picture
from iqasr.restoration.resizing import resize_bands

CHANNELS = {'grey': 1, 'grey and alpha': 2, 'colour': 3, 'colour and alpha': 4}


def picture_of(pixels):
    """Take the last of 2 or 4 channels for alpha."""
    if pixels.shape[-1] in (1, 3):
        return Picture(pixels)
    return Picture(pixels[..., :-1], pixels[..., -1:])


def resized(pixels, scale, cuts=()):
    """Resize ``(H, W, C)``, cut into bands at some rows."""
    picture = picture_of(pixels)
    bands = np.split(pixels, cuts)
    found = list(resize_bands(bands, picture.enlarged(1), picture.enlarged(scale)))
    return np.concatenate(found)


@pytest.mark.parametrize('scale', [0.13, 0.5, 0.77, 1.5, 3])
@pytest.mark.parametrize('kind', CHANNELS)
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_bands_are_resized_as_the_whole(scale, kind, dtype):
    most = np.iinfo(dtype).max
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, most, (217, 40, CHANNELS[kind]), dtype, endpoint=True)
    found = resized(pixels, scale, (1, 30, 90, 200))
    size = (round(40 * scale), round(217 * scale))
    assert found.dtype == dtype
    assert found.shape == (*size[::-1], CHANNELS[kind])
    for channel in range(CHANNELS[kind]):
        alpha = channel == CHANNELS[kind] - 1 and 'alpha' in kind
        kernel = Image.Resampling.BILINEAR if alpha else Image.Resampling.LANCZOS
        image = Image.fromarray(pixels[..., channel].astype(np.float32))
        expected = np.asarray(image.resize(size, kernel)).clip(0, most)
        tolerance = 0.51 if dtype == np.uint8 else 2.0
        assert np.abs(found[..., channel] - expected).max() <= tolerance
    assert np.array_equal(found, resized(pixels, scale))


def test_stripes_finer_than_the_result_become_their_mean():
    pixels = np.zeros((128, 128, 1), np.uint16)
    pixels[::2] = 65535
    found = resized(pixels, 0.25).astype(int)
    assert np.abs(found[4:-4] - 32767).max() < 700


def test_alpha_does_not_overshoot():
    pixels = np.full((40, 40, 4), 100, np.uint8)
    pixels[:, 20:] = 200
    alpha = resized(pixels, 1.7)[..., 3]
    assert (alpha.min(), alpha.max()) == (100, 200)
    assert resized(pixels, 1.7)[..., 0].max() > 200
