"""Squares cut out of photographs before they are enhanced."""

import cv2
import numpy as np
import pytest

from iqasr.data.candidates.candidate_set import open_candidates
from iqasr.enhancement.recipe import parse_word
from iqasr.enhancement.run import REAL_ENHANCERS, enhance_from_words
from iqasr.enhancement.squares import cut_folder
from iqasr.pretrained import is_known
from iqasr.runtime.errors import DataError


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    flat = rng.integers(80, 200, (80, 120, 3), np.uint8)
    flat[40:80, 80:120] = rng.integers(0, 256, (40, 40, 3))
    for name in ('a', 'b'):
        (tmp_path / 'photographs').mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f'photographs/{name}.png'), flat)
    return tmp_path / 'photographs'


def test_most_detailed_square_is_cut_and_named_photographs_are_left_out(folder, tmp_path):
    squares = tmp_path / 'squares'
    cut_folder(str(folder), squares, side_px=40, count=2, without=['b'])
    assert sorted(path.name for path in squares.glob('*.png')) == ['a-0.png', 'a-1.png']
    square = cv2.imread(str(squares / 'a-0.png'))
    assert np.array_equal(square, cv2.imread(str(folder / 'a.png'))[40:80, 80:120])


def test_cutting_goes_on_where_it_stopped(folder, tmp_path):
    cut_folder(str(folder), tmp_path / 'squares', side_px=20, reduce=2)
    kept, lost = tmp_path / 'squares/a-0.png', tmp_path / 'squares/b-0.png'
    before, content = kept.stat().st_mtime_ns, lost.read_bytes()
    lost.unlink()
    cut_folder(str(folder), tmp_path / 'squares', side_px=20, reduce=2)
    assert kept.stat().st_mtime_ns == before
    assert lost.read_bytes() == content
    assert cv2.imread(str(lost)).shape == (20, 20, 3)


def test_squares_are_not_mixed_and_those_left_out_later_go(folder, tmp_path):
    squares, how = tmp_path / 'squares', {'side_px': 20, 'count': 2}
    cut_folder(str(folder), squares, **how)
    for change in ({'side_px': 30}, {'count': 1}, {'reduce': 2.0}):
        with pytest.raises(DataError, match=r'squares were cut in another way'):
            cut_folder(str(folder), squares, **how | change)
    cut_folder(str(folder), squares, **how, without=['b'])
    assert sorted(path.name for path in squares.glob('*.png')) == ['a-0.png', 'a-1.png']


def test_photographs_of_one_name_are_refused(folder, tmp_path):
    cv2.imwrite(str(folder / 'a.jpg'), cv2.imread(str(folder / 'a.png')))
    with pytest.raises(DataError, match=r'a.png: a.jpg has the same name'):
        cut_folder(str(folder), tmp_path / 'squares', side_px=20)


def test_photograph_that_is_too_small_is_named(folder, tmp_path):
    with pytest.raises(DataError, match=r'a: is smaller than 90 px'):
        cut_folder(str(folder), tmp_path / 'squares', side_px=90)


def test_candidates_of_squares_are_made(folder, tmp_path):
    (tmp_path / 'tests.txt').write_text('b\n')
    rules = {'patch_size_px': 40, 'patch_jitter_px': 0, 'patch_least_contrast': 0.0, 'cpu': True}
    cut = {'cut_px': 72, 'without': str(tmp_path / 'tests.txt'), 'most_alike_bits': -1}
    unreadable = enhance_from_words(
        str(folder), str(tmp_path / 'set'), ['UnsharpMask'], **cut, **rules
    )
    assert unreadable == 0
    (original,) = (tmp_path / 'set/original').iterdir()
    (candidate,) = (tmp_path / 'set/01').iterdir()
    assert candidate.name == f'{original.stem}_01.png'
    assert original.name.startswith('a-0-')
    assert len(open_candidates(str(tmp_path / 'set')).groups) == 1  # which finds nothing else there
    with pytest.raises(ValueError, match='give cut_px, too'):
        enhance_from_words(str(folder), str(tmp_path / 'set'), ['UnsharpMask'], reduce=2)


def test_default_enhancers_are_four_networks_of_the_catalogue_and_an_operator():
    weights = [step.get('weights') for word in REAL_ENHANCERS for step in parse_word(word)]
    assert len({*filter(None, weights)}) == 4
    assert all(map(is_known, filter(None, weights)))
    assert weights[-1] is None
