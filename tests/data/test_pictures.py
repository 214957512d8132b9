"""Pictures of every kind, against Pillow, tifffile and values made by hand."""

import io
import struct

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from iqasr.data.files.picture_writers import in_8_bits, suffix_for, write_picture
from iqasr.data.files.pictures import Shape, read_picture, upright
from iqasr.runtime.errors import DataError

SIZE = (37, 53)


@pytest.fixture
def rgba():
    """Smooth colours with noise, (H, W, 4) uint16; alpha reaches 0 and the maximum."""
    generator = np.random.default_rng(0)
    image = cv2.GaussianBlur(generator.random((*SIZE, 4), np.float32), (0, 0), 2)
    image = (image - image.min((0, 1))) / np.ptp(image, (0, 1))
    return np.rint(65535 * image).astype(np.uint16)


def saved(path, array, mode=None, **options):
    Image.fromarray(array, mode).save(path, **options)
    return read_picture(path)


def in_bytes(image):
    return (image >> 8).astype(np.uint8)


@pytest.mark.parametrize('suffix', ['png', 'tif', 'bmp', 'webp'])
def test_colours_are_those_of_the_file(rgba, tmp_path, suffix):
    colours = in_bytes(rgba[..., :3])
    picture = saved(
        tmp_path / f'a.{suffix}', colours, **{'lossless': True} if suffix == 'webp' else {}
    )
    assert np.array_equal(picture.pixels, colours)
    assert picture.alpha is None


@pytest.mark.parametrize('suffix', ['png', 'tif', 'jpg'])
def test_grey_stays_grey(rgba, tmp_path, suffix):
    grey = in_bytes(rgba[..., 0])
    picture = saved(tmp_path / f'a.{suffix}', grey)
    assert picture.pixels.shape == (*SIZE, 1)
    assert np.abs(picture.pixels[..., 0].astype(int) - grey).max() <= (12 if suffix == 'jpg' else 0)


def test_16_bits_of_jpeg_2000_stay(rgba, tmp_path):
    picture = saved(tmp_path / 'a.jp2', rgba[..., 0])
    assert picture.pixels.dtype == np.uint16
    assert np.array_equal(picture.pixels[..., 0], rgba[..., 0])


def test_one_bit_is_grey(rgba, tmp_path):
    bits = rgba[..., 0] > 30000
    assert np.array_equal(saved(tmp_path / 'a.png', bits).pixels[..., 0], 255 * bits)


@pytest.mark.parametrize('suffix', ['png', 'tif', 'webp'])
def test_alpha_lies_apart(rgba, tmp_path, suffix):
    image = in_bytes(rgba)
    exact = {'lossless': True, 'exact': True} if suffix == 'webp' else {}
    picture = saved(tmp_path / f'a.{suffix}', image, **exact)
    assert np.array_equal(picture.pixels, image[..., :3])
    assert np.array_equal(picture.alpha, image[..., 3:])


def test_grey_with_alpha_and_a_transparent_grey(rgba, tmp_path):
    image = in_bytes(rgba[..., 2:])
    picture = saved(tmp_path / 'a.png', image)
    assert np.array_equal(np.concatenate([picture.pixels, picture.alpha], -1), image)
    keyed = saved(tmp_path / 'b.png', image[..., 0], transparency=int(image[3, 4, 0]))
    assert np.array_equal(keyed.pixels[..., 0], image[..., 0])
    assert np.array_equal(keyed.alpha[..., 0] == 0, image[..., 0] == image[3, 4, 0])


def test_an_opaque_alpha_is_none(rgba, tmp_path):
    image = in_bytes(rgba)
    image[..., 3] = 255
    assert saved(tmp_path / 'a.png', image).alpha is None


def test_a_palette_becomes_its_colours(rgba, tmp_path):
    palette = Image.fromarray(in_bytes(rgba[..., :3])).quantize(16)
    expected = np.asarray(palette.convert('RGB'))
    palette.save(tmp_path / 'a.png')
    palette.save(tmp_path / 'b.png', transparency=3)
    palette.save(tmp_path / 'c.gif')
    indices = np.asarray(palette)
    for name in ('a.png', 'b.png', 'c.gif'):
        assert np.array_equal(read_picture(tmp_path / name).pixels, expected)
    assert np.array_equal(read_picture(tmp_path / 'b.png').alpha[..., 0] == 0, indices == 3)


def test_cmyk_becomes_rgb(rgba, tmp_path):
    inks = in_bytes(rgba)
    picture = saved(tmp_path / 'a.tif', inks, 'CMYK')
    ideal = (255 - inks[..., :3].astype(float)) * (255 - inks[..., 3:]) / 255
    assert np.abs(picture.pixels - ideal).max() <= 1


def test_a_broken_profile_of_cmyk_is_said(rgba, tmp_path, caplog):
    inks, path = in_bytes(rgba), tmp_path / 'a.tif'
    plain = saved(tmp_path / 'plain.tif', inks, 'CMYK')
    assert caplog.text == ''
    Image.fromarray(inks, 'CMYK').save(path, icc_profile=b'no profile')
    assert np.array_equal(read_picture(path).pixels, plain.pixels)
    assert f'{path}: its colour profile cannot be used (' in caplog.text


@pytest.mark.parametrize(
    ('suffix', 'channels'), [*((s, c) for s in ('.png', '.tif') for c in (1, 3, 4)), ('.png', 2)]
)
def test_16_bits_survive_a_round_trip(rgba, tmp_path, suffix, channels):
    image = rgba[..., [2, 3] if channels == 2 else range(channels)]
    shape = Shape(*image.shape, image.dtype)
    path = tmp_path / f'a{suffix}'
    write_picture(path, shape, np.split(image, [10, 11, 30]))
    picture = read_picture(path)
    planes = [picture.pixels, *([picture.alpha] if channels in (2, 4) else [])]
    assert np.array_equal(np.concatenate(planes, -1), image)
    if suffix == '.tif':
        assert np.array_equal(tifffile.imread(path), image.squeeze())


@pytest.mark.parametrize('suffix', ['.png', '.tif', '.webp', '.jpg'])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_what_is_written_is_read_by_pillow(rgba, tmp_path, suffix, channels):
    if (suffix, channels) == ('.jpg', 4):
        pytest.skip('JPEG knows no alpha')
    image = in_bytes(rgba[..., :channels])
    path = tmp_path / f'a{suffix}'
    write_picture(path, Shape(*image.shape, image.dtype), iter([image[:20], image[20:]]))
    found = np.asarray(Image.open(path))
    if suffix == '.webp' and channels == 1:
        found = found[..., 0]
    exact = suffix in ('.png', '.tif')
    difference = np.abs(found.reshape(*SIZE, -1)[..., :channels].astype(int) - image)
    opaque = image[..., 3:] > 200 if channels == 4 and not exact else True
    assert (difference * opaque).max() <= (0 if exact else 40)


def test_sixteen_bits_are_rounded_to_eight():
    levels = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(in_8_bits(levels), np.rint(levels / 257))


@pytest.mark.parametrize('compression', [None, 'zlib'])
@pytest.mark.parametrize('how', ['planes', 'white is zero', 'multiplied', 'turned'])
def test_16_bit_tiffs_of_other_programs(rgba, tmp_path, how, compression):
    colours, path = rgba[..., :3], tmp_path / 'a.tif'
    options = {'compression': compression, 'metadata': None}
    if how == 'planes':
        planes = np.ascontiguousarray(colours.transpose(2, 0, 1))
        tifffile.imwrite(path, planes, photometric='rgb', planarconfig='separate', **options)
        assert np.array_equal(read_picture(path).pixels, colours)
    elif how == 'white is zero':
        tifffile.imwrite(path, rgba[..., 0], photometric='miniswhite', **options)
        assert np.array_equal(read_picture(path).pixels[..., 0], 65535 - rgba[..., 0])
    elif how == 'multiplied':
        alpha = np.maximum(rgba[..., 3:], 20000)
        product = np.rint(colours * (alpha / 65535)).astype(np.uint16)
        both = np.concatenate([product, alpha], -1)
        tifffile.imwrite(path, both, photometric='rgb', extrasamples=['assocalpha'], **options)
        assert np.abs(read_picture(path).pixels.astype(int) - colours).max() <= 2
    else:
        turn = [(274, 'H', 1, 6, True)]
        tifffile.imwrite(path, colours, photometric='rgb', extratags=turn, **options)
        assert np.array_equal(read_picture(path).pixels, np.rot90(colours, -1))


@pytest.mark.parametrize('orientation', range(1, 9))
def test_pictures_are_turned_as_pillow_turns_them(rgba, tmp_path, orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[274], exif[271] = orientation, 'maker'
    for suffix in ('png', 'tif'):
        path = tmp_path / f'a.{suffix}'
        picture = saved(path, in_bytes(rgba[..., :3]), exif=exif)
        assert np.array_equal(picture.pixels, np.asarray(ImageOps.exif_transpose(Image.open(path))))
    kept = Image.Exif()
    kept.load(saved(tmp_path / 'a.png', in_bytes(rgba[..., :3]), exif=exif).exif)
    assert (kept.get(271), kept.get(274)) == ('maker', None)
    assert np.array_equal(upright(np.eye(3), 9), np.eye(3))


@pytest.mark.parametrize('suffix', ['.png', '.tif', '.jpg', '.webp'])
def test_profile_and_exif_are_kept(rgba, tmp_path, suffix):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    exif = Image.Exif()
    exif[315] = 'somebody'
    image = in_bytes(rgba[..., :3])
    shape = Shape(*image.shape, image.dtype, profile, exif.tobytes())
    write_picture(tmp_path / f'a{suffix}', shape, [image])
    with Image.open(tmp_path / f'a{suffix}') as found:
        found.load()
        assert found.info['icc_profile'] == profile
        if suffix != '.tif':
            assert found.getexif()[315] == 'somebody'
    picture = read_picture(tmp_path / f'a{suffix}')
    assert picture.profile == profile


def test_exif_too_long_for_jpeg_is_left_out_and_said(tmp_path, caplog):
    image = np.zeros((8, 9, 3), np.uint8)
    for length, kept in ((65533, True), (65534, False)):
        exif = (b'Exif\0\0' + Image.Exif().tobytes()).ljust(length, b'\0')
        write_picture(tmp_path / 'a.jpg', Shape(*image.shape, image.dtype, None, exif), [image])
        assert ('exif' in Image.open(tmp_path / 'a.jpg').info) == kept
    assert caplog.text.count('longer than JPEG allows') == 1


def frames(path, suffix):
    images = [Image.fromarray(np.full((8, 9), 40 * i, np.uint8)) for i in range(1, 4)]
    images[0].save(path, suffix, save_all=True, append_images=images[1:])


def broken_pictures():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    deep = cv2.imencode('.png', image.astype(np.uint16) * 257)[1].tobytes()
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, 'png')
    floats = io.BytesIO()
    tifffile.imwrite(floats, image[..., 0].astype(np.float32))
    png = stream.getvalue()
    huge = png[:16] + struct.pack('>II', 2**30, 2**30) + png[24:]
    return {
        'empty': (b'', 'not a picture'),
        'text': (b'hello', 'not a picture'),
        'cut png': (png[: len(png) // 2], 'broken'),
        'cut deep png': (deep[: len(deep) // 2], 'broken'),
        'wrong header': (huge, 'not a picture'),
        'floats': (floats.getvalue(), 'of floats, or of more than 16'),
    }


@pytest.mark.parametrize('kind', broken_pictures())
def test_what_cannot_be_read_says_why(tmp_path, kind):
    content, reason = broken_pictures()[kind]
    (tmp_path / 'a.png').write_bytes(content)
    with pytest.raises(DataError, match=reason):
        read_picture(tmp_path / 'a.png')


def test_videos_and_floats_say_what_to_do(tmp_path):
    colours = np.random.default_rng(0).random((8, 9, 3))
    for name, pixels in {
        'a.tif': colours.astype(np.float32),
        'half.tif': colours.astype(np.float16),
        'long.tif': (1e9 * colours).astype(np.uint32),
        'grey.tif': (1e9 * colours[..., 0]).astype(np.int32),
    }.items():
        tifffile.imwrite(tmp_path / name, pixels)
        with pytest.raises(DataError, match=r'16 bits per channel\. Convert it to 16 bits\.'):
            read_picture(tmp_path / name)
    cv2.imwrite(str(tmp_path / 'a.hdr'), colours.astype(np.float32))
    (tmp_path / 'a.exr').write_bytes(b'v/1\1')
    for name in ('a.hdr', 'a.exr'):
        with pytest.raises(DataError, match='Convert it to 16 bits'):
            read_picture(tmp_path / name)
    for suffix in ('mp4', 'MOV', 'mkv', 'avi', 'webm'):
        (tmp_path / f'v.{suffix}').write_bytes(b'no picture')
        with pytest.raises(DataError, match=rf'^a video\. .*ffmpeg -i v\.{suffix} frames/%06d'):
            read_picture(tmp_path / f'v.{suffix}')


@pytest.mark.parametrize(
    ('suffix', 'word'),
    [('gif', 'frames'), ('webp', 'frames'), ('png', 'frames'), ('tiff', 'pages')],
)
def test_animations_and_documents_are_refused(tmp_path, suffix, word):
    frames(tmp_path / 'a', suffix)
    with pytest.raises(DataError, match=f'3 {word}'):
        read_picture(tmp_path / 'a')


def test_formats_say_what_they_cannot_hold(tmp_path):
    for suffix, shape in (('.jpg', (8, 8, 4)), ('.webp', (8, 20000, 3)), ('.jpg', (70000, 8, 3))):
        with pytest.raises(DataError, match='--format png'):
            write_picture(tmp_path / f'a{suffix}', Shape(*shape, np.dtype(np.uint8)), [])
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_fails_half_way_leaves_nothing(tmp_path):
    def rows():
        yield np.zeros((4, 8, 3), np.uint8)
        raise DataError('enough')

    with pytest.raises(DataError, match='enough'):
        write_picture(tmp_path / 'a.png', Shape(8, 8, 3, np.dtype(np.uint8)), rows())
    assert list(tmp_path.iterdir()) == []


def test_suffixes_keep_what_a_file_can_hold():
    from pathlib import Path

    names = ['a.PNG', 'a.JPEG', 'a.tiff', 'a.webp', 'a.bmp', 'a.gif', 'a']
    expected = ['.png', '.jpg', '.tif', '.webp', '.png', '.png', '.png']
    assert [suffix_for(Path(name)) for name in names] == expected
