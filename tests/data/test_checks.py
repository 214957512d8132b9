"""Checking data sets before a run."""

import os

import cv2
import numpy as np
import pytest

from iqasr.data.candidates.candidate_set import open_candidates
from iqasr.data.checks.candidate_checks import (
    check_candidates,
    check_image_folder,
    check_other_files,
)
from iqasr.data.files import inspection
from iqasr.data.stores.lmdb_reader import LmdbReader
from iqasr.data.stores.lmdb_store import create_lmdb


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
        '01/c_01.png': 'transparency (an alpha channel, even if opaque)',
        '02/d_02.png': 'greyscale. Training takes RGB; save it as RGB.',
        '01/e_01.png': '40 x 44 px, but its original is 40 x 48 px',
        'original/f.png': 'not an image',
    }
    paths = [os.path.join(root, name) for name in bad]
    cut_short(paths[0])
    cv2.imwrite(paths[1], image.astype(np.uint16) * 257)
    cv2.imwrite(paths[2], np.dstack([image, image[..., 0]]))
    cv2.imwrite(paths[3], image[..., 0])
    cv2.imwrite(paths[4], image[:44])
    with open(paths[5], 'w', encoding='utf-8') as file:
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


def test_other_files_of_a_folder_are_named(make_set):
    folder = os.path.join(make_set(), 'original')
    for name in ('Thumbs.db', '.DS_Store', '._a.png'):
        with open(os.path.join(folder, name), 'w', encoding='utf-8') as file:
            file.write('text')
    [problem] = check_other_files(folder)
    assert problem.startswith(os.path.join(folder, 'Thumbs.db') + ': not an image')
    assert check_image_folder(folder) == []  # BasicSR, too, passes over hidden files


def test_only_decoding_reads_the_images_of_an_lmdb(make_set, tmp_path, monkeypatch):
    create_lmdb(make_set(), str(tmp_path / 'x.lmdb'))
    candidates = open_candidates(str(tmp_path / 'x.lmdb'))
    opened = []
    open_key = LmdbReader.open
    monkeypatch.setattr(
        LmdbReader, 'open', lambda self, key: opened.append(key) or open_key(self, key)
    )
    assert len(check_candidates(candidates, min_size=41)) == 3
    assert opened == []
    assert check_candidates(candidates, decode=True) == []
    assert len(opened) == 9


@pytest.mark.parametrize(('rank', 'hidden'), [(None, None), ('0', None), ('3', True)])
def test_only_the_first_process_shows_a_bar(make_set, monkeypatch, rank, hidden):
    shown = []
    monkeypatch.setattr(
        inspection, 'tqdm', lambda items, *_, disable, **__: shown.append(disable) or items
    )
    monkeypatch.delenv('RANK', raising=False)
    if rank is not None:
        monkeypatch.setenv('RANK', rank)
    check_candidates(open_candidates(make_set()))
    assert shown == [hidden]
