"""Checking data sets before a run."""

import os

import cv2
import numpy as np
import pytest

from iqasr.data.candidates import open_candidates
from iqasr.data.checks import check_candidates, check_image_folder, check_pairs


def damage_middle(path):
    with open(path, 'r+b') as file:
        file.seek(os.path.getsize(path) // 2)
        file.write(b'\x00\xff\x00\xff')


def cut_short(path):
    os.truncate(path, os.path.getsize(path) - 30)


def test_good_candidates_have_no_problems(make_set):
    assert check_candidates(open_candidates(make_set()), min_size=40, decode=True) == []


def test_every_bad_candidate_is_named(make_set, make_picture):
    root = make_set(names=tuple('abcdef'))
    image = make_picture(0)
    bad = {
        '01/a_01.png': 'cut short',
        '02/b_02.png': 'more than 8 bits',
        '01/c_01.png': 'transparency',
        '02/d_02.png': 'greyscale',
        '01/e_01.png': '40 x 44 px, but its original is 40 x 48 px',
        'original/f.png': 'not an image',
    }
    paths = [os.path.join(root, name) for name in bad]
    cut_short(paths[0])
    cv2.imwrite(paths[1], image.astype(np.uint16) * 257)
    cv2.imwrite(paths[2], np.dstack([image, image[..., 0]]))
    cv2.imwrite(paths[3], image[..., 0])
    cv2.imwrite(paths[4], image[:44])
    with open(paths[5], 'w') as file:
        file.write('text')
    problems = check_candidates(open_candidates(root))
    assert len(problems) == len(bad)
    for path, reason, problem in zip(paths, bad.values(), problems, strict=True):
        assert problem.startswith(f'{path}: ')
        assert reason in problem


def test_small_images_are_reported_once_per_group(make_set):
    candidates = open_candidates(make_set(names=('a', 'b')))
    problems = check_candidates(candidates, min_size=41)
    assert len(problems) == 2
    assert '40 x 48 px, at least 41 px' in problems[0]


def test_only_decoding_finds_damage_inside(make_set):
    root = make_set()
    damage_middle(os.path.join(root, '02', 'b_02.png'))
    candidates = open_candidates(root)
    assert check_candidates(candidates) == []
    [problem] = check_candidates(candidates, decode=True)
    assert 'b_02.png: cannot be decoded' in problem


def test_image_folder(make_set, tmp_path):
    folder = os.path.join(make_set(), 'original')
    assert check_image_folder(folder) == []
    cut_short(os.path.join(folder, 'b.png'))
    assert ['b.png: cut short' in problem for problem in check_image_folder(folder)] == [True]
    (tmp_path / 'empty').mkdir()
    assert 'holds no image' in check_image_folder(str(tmp_path / 'empty'))[0]
    assert 'no such folder' in check_image_folder(str(tmp_path / 'absent'))[0]


@pytest.fixture
def pair_folders(tmp_path, make_picture):
    """GT of 48 x 40 and 50 x 43, LQ of a quarter, rounded down."""
    for name, (height, width) in {'a': (48, 40), 'b': (50, 43)}.items():
        for folder, scale, ending in (('gt', 1, ''), ('lq', 4, 'x4')):
            (tmp_path / folder).mkdir(exist_ok=True)
            image = make_picture(0, height // scale, width // scale)
            cv2.imwrite(str(tmp_path / folder / f'{name}{ending}.png'), image)
    return str(tmp_path / 'gt'), str(tmp_path / 'lq')


def test_pairs_fit_exactly_or_rounded(pair_folders):
    assert check_pairs(*pair_folders, 4, exact=False, filename_tmpl='{}x4') == []
    [problem] = check_pairs(*pair_folders, 4, exact=True, filename_tmpl='{}x4')
    assert 'b.png: 43 x 50 px, but its LQ' in problem
    assert 'Make the GT 40 x 48 px' in problem


def test_pairs_of_another_scale_are_reported(pair_folders):
    assert len(check_pairs(*pair_folders, 2, exact=False, filename_tmpl='{}x4')) == 2


def test_pairs_without_partner_are_reported(pair_folders):
    problems = check_pairs(*pair_folders, 4, exact=False)
    assert [os.path.join(pair_folders[1], f'{name}.png') in problems[i]
            for i, name in enumerate('ab')] == [True, True]  # fmt: skip
    assert ['has no GT' in problem for problem in problems] == [False, False, True, True]


def test_pairs_with_a_broken_image_are_reported(pair_folders):
    cut_short(os.path.join(pair_folders[1], 'ax4.png'))
    [problem] = check_pairs(*pair_folders, 4, exact=False, filename_tmpl='{}x4')
    assert 'ax4.png: cut short' in problem


def test_absent_pair_folders_are_reported(tmp_path):
    problems = check_pairs(str(tmp_path / 'x'), str(tmp_path / 'y'), 4, exact=True)
    assert ['no such folder' in problem for problem in problems] == [True, True]
