import cv2
import numpy as np
import pytest

from iqasr.data.files.photographs import detail_of, detailed_places, read_photographs, reduced
from iqasr.enhancement.sample_dataset import make_sample_dataset
from iqasr.runtime.errors import DataError


def write(folder, name, image):
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / name), image[..., ::-1])


def test_photographs_come_in_order_and_reduced(photographs, tmp_path):
    write(tmp_path, 'b.png', photographs[1])
    write(tmp_path, 'a.png', photographs[0])
    (tmp_path / 'notes.txt').write_text('no image')
    (first, one), (second, other) = read_photographs(str(tmp_path), 2)
    assert (first, second) == ('a', 'b')
    assert np.array_equal(one, reduced(photographs[0], 2))
    assert one.shape == other.shape == (48, 48, 3)


def test_reduction_averages():
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2, :2] = [[[10] * 3, [20] * 3], [[30] * 3, [40] * 3]]
    assert reduced(image, 2)[..., 0].tolist() == [[25, 0], [0, 0]]


def test_broken_photograph_is_named(photographs, tmp_path):
    write(tmp_path, 'whole.png', photographs[0])
    (tmp_path / 'broken.jpg').write_bytes(b'no jpeg')
    with pytest.raises(DataError, match=r'broken\.jpg'):
        list(read_photographs(str(tmp_path)))


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match='there is no such folder of photographs'):
        list(read_photographs(str(tmp_path / 'none')))


def test_most_detailed_place_comes_first(photographs):
    image = np.full((96, 96, 3), 128, np.uint8)
    image[48:, :48] = photographs[0][:48, :48]
    assert detailed_places(image, 48, 1) == [(48, 0)]
    assert len(detailed_places(image, 48, 9)) == 4


def test_detail_is_that_of_the_grey_levels_of_rgb():
    image = np.full((48, 96, 3), 128, np.uint8)
    image[::2, :48, 2] = image[::2, 48:, 0] = 228  # blue left; red, which is brighter, right
    assert detailed_places(image, 48, 2) == [(0, 48), (0, 0)]
    blue, red = detail_of(image[:, :48]), detail_of(image[:, 48:])
    assert red / blue == pytest.approx((0.299 / 0.114) ** 2, rel=0.1)


def test_sample_set_of_other_photographs(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (650, 650, 3), np.uint8)
    noise = noise.repeat(2, 0).repeat(2, 1)
    write(tmp_path / 'train', 'one.png', noise)
    write(tmp_path / 'val', 'two.png', noise)
    folders = [str(tmp_path / name) for name in ('set', 'train', 'val')]
    make_sample_dataset(*folders, reduce=2, most=3)
    assert len(list((tmp_path / 'set/train/original').iterdir())) == 3
    assert cv2.imread(str(tmp_path / 'set/val/gt/two.png')).shape == (480, 480, 3)


def test_flat_photographs_are_refused(tmp_path):
    write(tmp_path / 'train', 'flat.png', np.full((700, 700, 3), 90, np.uint8))
    with pytest.raises(DataError, match='no photograph has a patch of 320 px with enough detail'):
        make_sample_dataset(str(tmp_path / 'set'), str(tmp_path / 'train'))
