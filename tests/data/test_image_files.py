"""Decoding and inspecting image files."""

import io
import pickle
import struct

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from iqasr.data.files.image_files import decode_rgb, inspect_image
from iqasr.data.files.readers import FileReader
from iqasr.data.stores.lmdb_reader import LmdbReader
from iqasr.data.stores.lmdb_store import create_lmdb
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


SRGB_D50 = [[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.71410]]
DISPLAY_P3_D50 = [
    [0.51512, 0.24120, -0.00105],
    [0.29198, 0.69225, 0.04189],
    [0.15710, 0.06657, 0.78407],
]
"""X, Y, Z of red, green and blue, adapted to D50, as in their ICC profiles."""


def profile_of(primaries):
    """Write an ICC profile with the tone curve of sRGB and other primaries."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes())
    (count,) = struct.unpack_from('>I', profile, 128)
    tags = {}
    for entry in range(count):
        name, offset, _ = struct.unpack_from('>4sII', profile, 132 + 12 * entry)
        tags[name] = offset
    for name, xyz in zip((b'rXYZ', b'gXYZ', b'bXYZ'), primaries, strict=True):
        struct.pack_into('>3i', profile, tags[name] + 8, *(round(v * 65536) for v in xyz))
    return bytes(profile)


def to_srgb_by_hand(image):
    value = image / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(DISPLAY_P3_D50) @ np.linalg.inv(SRGB_D50), 0, 1)
    coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(coded * 255)


def with_profile(image, profile, suffix='png'):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, suffix, icc_profile=profile, lossless=True)
    return stream.getvalue()


@pytest.mark.parametrize('suffix', ['png', 'webp', 'tiff'])
def test_colours_of_a_profile_become_srgb(make_picture, suffix):
    image = make_picture(0)
    found = decode_rgb(with_profile(image, profile_of(DISPLAY_P3_D50), suffix), 'x')
    assert np.abs(found - to_srgb_by_hand(image)).max() <= 2
    assert np.abs(found.astype(int) - image).max() > 10


def test_a_photograph_keeps_its_colours_with_the_profile_of_its_jpeg(make_picture):
    profile = profile_of(DISPLAY_P3_D50)
    found = decode_rgb(with_profile(make_picture(0), profile, 'jpeg'), 'x')
    stored = np.asarray(Image.open(io.BytesIO(with_profile(make_picture(0), profile, 'jpeg'))))
    assert np.abs(found - to_srgb_by_hand(stored)).mean() < 1


@pytest.mark.parametrize('profile', [profile_of(SRGB_D50), b'no profile'], ids=['sRGB', 'broken'])
def test_pixels_of_srgb_are_left_as_they_are(make_picture, profile):
    image = make_picture(0)
    assert np.array_equal(decode_rgb(with_profile(image, profile), 'x'), image)


def test_the_first_image_of_a_broken_profile_is_named(make_picture, caplog):
    files = [
        with_profile(make_picture(0), b'not this either'),
        with_profile(make_picture(1), b'nor'),
    ]
    for name in ('one.png', 'two.png'):
        decode_rgb(files[0], name)
    decode_rgb(files[1], 'three.png')
    said = [
        record.getMessage().split(': its colour profile cannot')[0] for record in caplog.records
    ]
    assert said == ['one.png, and perhaps others', 'three.png, and perhaps others']


def test_a_reader_for_basicsr_warns_once_of_colours_that_change(make_picture, tmp_path, caplog):
    kinds = {'srgb': profile_of(SRGB_D50), 'p3': profile_of(DISPLAY_P3_D50)}
    files = [tmp_path / f'{name}{number}.png' for number in range(2) for name in kinds]
    for file in files:
        file.write_bytes(with_profile(make_picture(0, 48, 40), kinds[file.stem[:-1]]))
    for of_basicsr in (False, True):
        reader = FileReader(of_basicsr=of_basicsr)
        assert [reader.inspect(str(file)) for file in files] == [(48, 40)] * 4
    [record] = caplog.records
    assert record.getMessage().startswith(f'{files[1]}, and perhaps others: its colour profile')


def test_a_store_for_basicsr_holds_srgb(make_picture, tmp_path):
    image, profile = make_picture(0), profile_of(DISPLAY_P3_D50)
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images' / 'a.png').write_bytes(with_profile(image, profile))
    create_lmdb(str(tmp_path / 'images'), str(tmp_path / 'images.lmdb'))
    stored = LmdbReader(str(tmp_path / 'images.lmdb')).read('a')
    pixels = cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(pixels - to_srgb_by_hand(image)).max() <= 2


def test_turned_photographs_are_converted_too(make_picture):
    stream, image = io.BytesIO(), make_picture(0, 48, 40)
    exif = Image.Exif()
    exif[274] = 6
    kept = {'exif': exif, 'icc_profile': profile_of(DISPLAY_P3_D50)}
    Image.fromarray(image).save(stream, 'png', **kept)
    found = decode_rgb(stream.getvalue(), 'x')
    assert np.abs(found - to_srgb_by_hand(np.rot90(image, -1))).max() <= 2


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
