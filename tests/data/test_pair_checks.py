"""Checking pairs, in folders and in LMDBs, before a run."""

import os
import re
from dataclasses import replace
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from basicsr.data.paired_image_dataset import PairedImageDataset
from basicsr.utils.lmdb_util import make_lmdb_from_imgs

from iqasr.data.checks.file_checks import check_files
from iqasr.data.checks.pair_checks import PairRules, check_listed_pairs, check_pairs
from iqasr.data.stores.lmdb_reader import check_lmdb
from iqasr.data.stores.lmdb_store import create_lmdb
from iqasr.runtime.errors import DataError


def cut_short(path):
    os.truncate(path, os.path.getsize(path) - 30)


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
    assert check_pairs(*pair_folders, PairRules(4, exact=False, filename_tmpl='{}x4')) == []
    [problem] = check_pairs(*pair_folders, PairRules(4, exact=True, filename_tmpl='{}x4'))
    assert 'b.png: 43 x 50 px, but its LQ' in problem
    assert 'Make the GT 40 x 48 px' in problem


@pytest.mark.parametrize('exact', [False, True])
def test_pairs_that_all_have_another_scale_are_reported_at_once(exact, pair_folders):
    rules = PairRules(2, exact=exact, filename_tmpl='{}x4')
    [problem] = check_pairs(*pair_folders, rules)
    assert 'this pair, as all here, is for scale 4, but scale is 2. Set scale: 4' in problem
    cv2.imwrite(os.path.join(pair_folders[0], 'b.png'), np.zeros((20, 20, 3), np.uint8))
    problems = check_pairs(*pair_folders, rules)
    assert ['Make the GT' in problem for problem in problems] == [True, True]


def test_a_missing_template_is_named(pair_folders):
    [problem] = check_pairs(*pair_folders, PairRules(4, exact=False))
    assert "Set filename_tmpl: '{}x4'." in problem


def test_pairs_without_partner_are_reported(pair_folders):
    Path(pair_folders[1], 'ax4.png').replace(Path(pair_folders[1], 'ay4.png'))
    problems = check_pairs(*pair_folders, PairRules(4, exact=False))
    assert [os.path.join(pair_folders[1], f'{name}.png') in problems[i]
            for i, name in enumerate('ab')] == [True, True]  # fmt: skip
    assert ['has no GT' in problem for problem in problems] == [False, False, True, True]


def test_pairs_with_a_broken_image_are_reported(pair_folders):
    cut_short(os.path.join(pair_folders[1], 'ax4.png'))
    [problem] = check_pairs(*pair_folders, PairRules(4, exact=False, filename_tmpl='{}x4'))
    assert 'ax4.png: cut short' in problem


def test_absent_pair_folders_are_reported(tmp_path):
    roots = {f'dataroot_{kind}': str(tmp_path / kind) for kind in ('gt', 'lq')}
    with pytest.raises(DataError, match=f'{tmp_path}/gt, {tmp_path}/lq: no such folder'):
        check_files({'phase': 'train', 'scale': 4, **roots})


def test_gt_smaller_than_the_crop_is_reported(pair_folders):
    rules = PairRules(4, exact=False, min_size=40, filename_tmpl='{}x4')
    assert check_pairs(*pair_folders, rules) == []
    [problem] = check_pairs(*pair_folders, replace(rules, min_size=42))
    assert 'a.png: 40 x 48 px, at least 42 px' in problem


@pytest.fixture
def write_pairs(tmp_path, make_picture):
    """Write GT of a height and width and LQ of a quarter; returns the options of a data set."""

    def write(sizes, backend='disk'):
        section = {'io_backend': {'type': backend}, 'gt_size': 32, 'name': 'some', 'scale': 4}
        section |= {'use_hflip': False, 'use_rot': False}
        for root, side in (('gt', 1), ('lq', 4)):
            folder = tmp_path / root
            folder.mkdir()
            for number, (height, width) in enumerate(sizes):
                image = make_picture(number, height // side, width // side)
                cv2.imwrite(str(folder / f'{number}.png'), image)
            if backend == 'lmdb':
                folder = tmp_path / f'{root}.lmdb'
                create_lmdb(str(tmp_path / root), str(folder))
            section[f'dataroot_{root}'] = str(folder)
        return section

    return write


def problems_of(section, phase='train'):
    with pytest.raises(DataError) as error:
        check_files(section | {'phase': phase})
    return error.value.problems


@pytest.mark.parametrize('backend', ['disk', 'lmdb'])
def test_only_training_needs_exact_sizes_and_room_for_a_crop(write_pairs, backend):
    section = write_pairs([(48, 40), (50, 43), (28, 40)], backend)
    inexact, small = problems_of(section)
    assert 'Make the GT 40 x 48 px' in inexact
    assert '40 x 28 px, at least 32 px are needed' in small
    check_files(section | {'phase': 'val'})


@pytest.mark.parametrize('backend', ['disk', 'lmdb'])
def test_images_in_one_root_only_are_named(write_pairs, backend):
    section = write_pairs([(48, 40), (48, 40)], 'disk')
    os.remove(os.path.join(section['dataroot_lq'], '0.png'))
    os.remove(os.path.join(section['dataroot_gt'], '1.png'))
    if backend == 'lmdb':
        section['io_backend'] = {'type': 'lmdb'}
        for key in ('dataroot_gt', 'dataroot_lq'):
            create_lmdb(section[key], f'{section[key]}.lmdb')
            section[key] += '.lmdb'
    missing, alone = problems_of(section)
    assert re.search(r'lq.*/0\S*: missing', missing)
    assert re.search(r'lq.*/1\S*: has no GT', alone)


def test_files_that_basicsr_would_take_for_images_are_named(write_pairs, tmp_path):
    section = write_pairs([(48, 40)])
    stray = Path(section['dataroot_lq'], 'Thumbs.db')
    stray.write_text('text', encoding='utf-8')
    [problem] = problems_of(section)
    assert problem.startswith(f'{stray}: not an image')
    listing = tmp_path / 'list.txt'
    listing.write_text('0.png (48,40,3)\n', encoding='utf-8')
    check_files(section | {'meta_info_file': str(listing), 'phase': 'train'})
    listing.write_text('0.png (48,40,3)\n', encoding='utf-8-sig')
    [problem] = problems_of(section | {'meta_info_file': str(listing)})
    assert problem.startswith(f'{listing}: begins with a byte-order mark')
    listing.write_text('0.png (48,40,3)\n1.png (48,40,3)\n', encoding='utf-8')
    [problem] = problems_of(section | {'meta_info_file': str(listing)})
    assert re.search(r'gt.*/?1\.png: missing, but listed in .*list\.txt', problem)


def test_an_lmdb_that_is_not_said_to_be_one_is_named(write_pairs, tmp_path):
    section = write_pairs([(48, 40)], 'lmdb')
    [problem] = problems_of(section | {'io_backend': {'type': 'disk'}})
    assert 'gt.lmdb: is an LMDB. Set io_backend: {type: lmdb}' in problem
    os.rename(section['dataroot_gt'], tmp_path / 'stored')
    [problem] = problems_of(section | {'dataroot_gt': str(tmp_path / 'stored')})
    assert 'stored: BasicSR reads LMDBs named *.lmdb only' in problem


def test_lmdb_may_be_opened_after_the_check(write_pairs):
    section = write_pairs([(48, 40), (48, 40)], 'lmdb')
    check_files(section | {'phase': 'train'})
    assert PairedImageDataset(section | {'phase': 'train'})[1]['gt'].shape == (3, 32, 32)


@pytest.mark.parametrize('root', ['gt', 'lq'])
def test_lmdb_cut_short_is_refused_before_basicsr_reads_it(write_pairs, root):
    section = write_pairs([(48, 40), (48, 40)], 'lmdb')
    data = Path(section[f'dataroot_{root}'], 'data.mdb')
    os.truncate(data, data.stat().st_size // 2)
    [problem] = problems_of(section, 'val')
    assert problem.startswith(f'{data}: cut short')


def test_lmdb_without_a_listed_image_is_refused(write_pairs):
    section = write_pairs([(48, 40), (48, 40)], 'lmdb')
    with lmdb.open(section['dataroot_lq']) as environment, environment.begin(write=True) as change:
        change.delete(b'1')
    [problem] = problems_of(section)
    assert "lq.lmdb: 1 of 2 images are not in data.mdb, the first is '1'" in problem


def test_lmdb_with_a_broken_list_is_refused(write_pairs):
    section = write_pairs([(48, 40)], 'lmdb')
    Path(section['dataroot_gt'], 'meta_info.txt').write_text('0.png 48 40\n', encoding='utf-8')
    [problem] = problems_of(section)
    assert "meta_info.txt: line 1 is not 'key.png (height,width,channels) level'" in problem


def test_lmdb_made_by_basicsr_is_whole(make_picture, tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    names = [f'{number}.png' for number in range(30)]
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), make_picture(number, 64, 64))
    keys = [name[:-4] for name in names]
    make_lmdb_from_imgs(str(folder), str(tmp_path / 'x.lmdb'), names, keys, batch=7)
    check_lmdb(str(tmp_path / 'x.lmdb'))


@pytest.mark.parametrize(
    ('text', 'problem'),
    [
        ('gt/a.png, lq/ax4.png\n', None),
        ('gt/a.png, lq/ax4.png\ngt/b.png, lq/b.png\n', 'lq/b.png: missing, but listed in'),
        ('gt/a.png lq/ax4.png\n', 'Wrong lines: 1.'),
        ('gt/b.png, lq/bx4.png\n', 'which does not fit scale 4'),
        ('', 'Wrong lines: none.'),
    ],
)
def test_listed_pairs_are_checked(text, problem, pair_folders, tmp_path):
    listing = tmp_path / 'pairs.txt'
    listing.write_text(text)
    roots = [str(tmp_path)] * 2
    found = check_listed_pairs(*roots, str(listing), PairRules(4, exact=True))
    assert len(found) == (problem is not None)
    assert problem is None or problem in found[0]
