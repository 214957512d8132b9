"""Decoding and inspecting image files."""

import io
import pickle

import cv2
import numpy as np
import pytest
from PIL import Image

from iqasr.data.files.image_files import decode_rgb, inspect_image
from iqasr.runtime.errors import DataError


def encoded(image, suffix, **options):
    """Encode with Pillow, apart from the code under test."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, suffix, **options)
    return stream.getvalue()


def sideways(image):
    exif = Image.Exif()
    exif[274] = 6
    return encoded(image, 'jpeg', exif=exif)


@pytest.mark.parametrize('suffix', ['png', 'bmp', 'tiff'])
def test_decode_is_exact_and_rgb(make_picture, suffix):
    image = make_picture(0)
    assert np.array_equal(decode_rgb(encoded(image, suffix), 'x'), image)


def test_decode_repeats_grey(make_picture):
    grey = make_picture(0)[..., 0]
    decoded = decode_rgb(encoded(grey, 'png'), 'x')
    assert np.array_equal(decoded, np.stack([grey] * 3, axis=-1))


@pytest.mark.parametrize('suffix', ['png', 'jpeg', 'webp', 'bmp', 'tiff'])
def test_inspection_tells_height_and_width(make_picture, suffix):
    assert inspect_image(encoded(make_picture(0, 48, 40), suffix), 'x') == (48, 40)


def test_inspection_and_decoding_agree_on_turned_photographs(make_picture):
    data = sideways(make_picture(0, 48, 40))
    assert inspect_image(data, 'x') == decode_rgb(data, 'x').shape[:2] == (40, 48)


def test_palette_without_transparency_is_accepted(make_picture):
    palette = Image.fromarray(make_picture(0)).quantize(16)
    stream = io.BytesIO()
    palette.save(stream, 'png')
    assert np.array_equal(decode_rgb(stream.getvalue(), 'x'), np.asarray(palette.convert('RGB')))


def test_bytes_after_the_end_do_not_matter(make_picture):
    data = encoded(make_picture(0), 'jpeg')
    assert inspect_image(data + b'appended by a phone', 'x') == (48, 40)


def bad_images():
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), (0, 0), 1)
    transparent = np.dstack([image, image[..., 0]])
    _, deep = cv2.imencode('.png', image.astype(np.uint16) * 257)
    _, deep_tiff = cv2.imencode('.tiff', image.astype(np.uint16) * 257)
    palette = Image.fromarray(image).quantize(16)
    stream = io.BytesIO()
    palette.save(stream, 'png', transparency=0)
    return [
        ('empty', b'', 'empty'),
        ('text', b'not an image at all', 'not an image'),
        ('png cut short', encoded(image, 'png')[:-40], 'cut short'),
        ('jpeg cut short', encoded(image, 'jpeg')[:-40], 'cut short'),
        ('webp cut short', encoded(image, 'webp')[:-40], 'cut short'),
        ('bmp cut short', encoded(image, 'bmp')[:-400], 'cut short'),
        ('png cut in its header', encoded(image, 'png')[:20], 'not an image'),
        ('16-bit png', deep.tobytes(), 'more than 8 bits'),
        ('16-bit tiff', deep_tiff.tobytes(), 'more than 8 bits'),
        ('rgba', encoded(transparent, 'png'), 'transparency'),
        ('transparent palette', stream.getvalue(), 'transparency'),
        ('grey', encoded(image[..., 0], 'png'), 'greyscale'),
    ]


@pytest.mark.parametrize(('name', 'data', 'reason'), bad_images(), ids=lambda v: str(v)[:20])
def test_inspection_names_image_and_reason(name, data, reason):
    with pytest.raises(ValueError, match=reason) as error:
        inspect_image(data, f'{name}.png')
    assert str(error.value).startswith(f'{name}.png: ')


def test_decoding_refuses_what_it_would_lose(make_picture):
    _, deep = cv2.imencode('.png', make_picture(0).astype(np.uint16) * 257)
    with pytest.raises(ValueError, match=r'deep\.png: more than 8 bits'):
        decode_rgb(deep.tobytes(), 'deep.png')


def test_decoding_finds_damage_that_inspection_does_not(make_picture):
    data = bytearray(encoded(make_picture(0), 'png'))
    data[len(data) // 2] ^= 255
    assert inspect_image(bytes(data), 'x') == (48, 40)
    with pytest.raises(ValueError, match=r'broken\.png: cannot be decoded'):
        decode_rgb(bytes(data), 'broken.png')


def test_grey_is_accepted_on_request(make_picture):
    assert inspect_image(encoded(make_picture(0)[..., 0], 'png'), 'x', allow_grey=True) == (48, 40)


def test_data_error_shows_ten_problems_and_counts_the_rest():
    error = DataError([f'file {number}' for number in range(25)])
    lines = str(error).splitlines()
    assert lines[0] == '25 problems in the data:'
    assert lines[1:11] == [f'file {number}' for number in range(10)]
    assert lines[11:] == ['... and 15 more.']
    assert len(error.problems) == 25


def test_data_error_crosses_processes():
    error = DataError(['one', 'two'])
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
