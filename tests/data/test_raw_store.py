"""Folder -> raw store -> the same pixels, whatever happens on the way."""

import collections
import errno
import json
import os
import pickle
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from iqasr.data.candidates.candidate_set import open_candidates
from iqasr.data.checks.candidate_checks import check_candidates
from iqasr.data.loader import PlacedDataset
from iqasr.data.multi_gt_dataset import MultiGTDataset
from iqasr.data.stores import raw_store, store_steps
from iqasr.data.stores.raw_reader import open_raw
from iqasr.data.stores.raw_store import create_raw_store, verify_raw_store
from iqasr.runtime.errors import DataError
from iqasr.runtime.randomness import generator_at
from iqasr.sampling import UniformSampler

SCRIPT = Path(__file__).parents[2] / 'scripts' / 'create_lmdb.py'


@pytest.fixture
def target(tmp_path):
    return str(tmp_path / 'x.raw')


def assert_same(folder, made):
    """Assert that two sets hold the same pixels, hashes and judgements."""
    first, second = open_candidates(folder), open_candidates(made)
    assert len(first.groups) == len(second.groups) > 0
    for ours, theirs in zip(first.groups, second.groups, strict=True):
        assert ours._replace(files=()) == theirs._replace(files=())
        for file, key in zip(ours.files, theirs.files, strict=True):
            assert np.array_equal(first.reader.image(file), second.reader.image(key))
            assert first.reader.content_hash(file) == second.reader.content_hash(key)


def dataset(root, **options):
    options = {'scale': 4, 'margin': 8, 'use_rot': True, 'sampling': UniformSampler()} | options
    return MultiGTDataset(root, 16, **options)


def test_candidates_survive_unchanged(labelled, target):
    assert create_raw_store(labelled, target) == 9
    assert_same(labelled, target)
    assert sorted(os.listdir(target)) == ['index.json', 'pixels.bin']
    assert os.path.getsize(os.path.join(target, 'pixels.bin')) == 9 * 48 * 40 * 3
    assert not os.path.exists(f'{target}.partial')


def test_candidates_of_an_image_lie_side_by_side(labelled, target):
    create_raw_store(labelled, target)
    candidates = open_candidates(target)
    for number, group in enumerate(candidates.groups):
        offsets = sorted(candidates.reader.images[file].offset for file in group.files)
        assert offsets == [(3 * number + k) * 48 * 40 * 3 for k in range(3)]


@pytest.mark.parametrize('quality', [None, {}])
def test_items_are_those_of_the_folder(labelled, target, quality):
    create_raw_store(labelled, target)
    plain, raw = (dataset(root, quality=quality) for root in (labelled, target))
    for number in range(60):
        ours, theirs = (
            made.draw(number % 3, generator_at('item', number)) for made in (plain, raw)
        )
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            assert value == theirs[key] if key == 'key' else torch.equal(value, theirs[key])


def test_any_image_format_is_stored(make_picture, tmp_path, target):
    folder = tmp_path / 'images'
    folder.mkdir()
    cv2.imwrite(str(folder / 'photo.v2.jpg'), make_picture(0))
    cv2.imwrite(str(folder / 'grey.png'), make_picture(1)[..., 0])
    create_raw_store(str(folder), target)
    reader, groups = open_raw(target)
    assert groups == []
    assert np.array_equal(reader.image('grey')[..., 2], make_picture(1)[..., 0])
    expected = cv2.imread(str(folder / 'photo.v2.jpg'))[..., ::-1]
    assert np.array_equal(reader.image('photo.v2'), expected)


class Killed(BaseException):
    """Stands for the end of the process: nothing may catch it."""


def stop_after(monkeypatch, images):
    """Kill the run when so many images are written; returns what was written."""
    monkeypatch.setattr(store_steps, '_MOST_IMAGES_PER_BATCH', 2)
    write, written = raw_store._write, []

    def stopping(file, source, place):
        if len(written) == images:
            raise Killed
        written.append(source.key)
        return write(file, source, place)

    monkeypatch.setattr(raw_store, '_write', stopping)
    return written


def test_killed_run_is_taken_up(labelled, target, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, images=5)
        with pytest.raises(Killed):
            create_raw_store(labelled, target, workers=1)
    assert not os.path.exists(target)
    journal = Path(f'{target}.partial', 'journal.jsonl')
    journal.write_bytes(journal.read_bytes()[:-4])  # the last line is cut short
    written = stop_after(monkeypatch, images=99)
    create_raw_store(labelled, target)
    assert len(written) == 9 - 3
    assert_same(labelled, target)


def test_changed_and_moved_images_are_written_again(labelled, target, monkeypatch, make_picture):
    with monkeypatch.context() as patch:
        stop_after(patch, images=8)
        with pytest.raises(Killed):
            create_raw_store(labelled, target, workers=1)
    cv2.imwrite(os.path.join(labelled, '01', 'a_01.png'), make_picture(77))
    for name in ('original/b.png', '01/b_01.png', '02/b_02.png'):
        os.remove(os.path.join(labelled, name))
    written = stop_after(monkeypatch, images=99)
    assert create_raw_store(labelled, target) == 6
    assert sorted(written) == ['a/01', 'c/01', 'c/02', 'c/original']
    assert_same(labelled, target)


def test_bad_images_are_all_named_and_the_rest_is_kept(labelled, target, make_picture):
    deep, cut = (os.path.join(labelled, '01', f'{name}_01.png') for name in 'ac')
    cv2.imwrite(deep, make_picture(0).astype(np.uint16) * 257)
    os.truncate(cut, 100)
    with pytest.raises(DataError) as error:
        create_raw_store(labelled, target)
    assert error.value.problems[0].startswith(f'{deep}: more than 8 bits')
    assert error.value.problems[1].startswith(f'{cut}: cut short')
    for name, path in (('a', deep), ('c', cut)):
        cv2.imwrite(path, make_picture(ord(name)))
    create_raw_store(labelled, target)
    assert_same(labelled, target)


def test_candidates_of_different_size_are_refused(labelled, target, make_picture):
    cv2.imwrite(os.path.join(labelled, '02', 'b_02.png'), make_picture(0, 44, 40))
    with pytest.raises(DataError, match=r'b: its candidates differ in size.*b/02 40 x 44'):
        create_raw_store(labelled, target)


def test_too_little_space_is_said_before_writing(labelled, target, monkeypatch):
    usage = collections.namedtuple('usage', 'free')
    with monkeypatch.context() as patch:
        patch.setattr(store_steps.shutil, 'disk_usage', lambda path: usage(free=1000))
        with pytest.raises(OSError, match=r'are needed at least, the disk has 0\.00 GB free'):
            create_raw_store(labelled, target)
    assert os.listdir(f'{target}.partial') == []
    create_raw_store(labelled, target)
    assert_same(labelled, target)


def test_full_disk_while_writing_is_said_and_the_run_taken_up(labelled, target, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(raw_store, '_put', full)
        with pytest.raises(OSError, match=r'No space left.*goes on where it stopped'):
            create_raw_store(labelled, target)
    assert not os.path.exists(target)
    create_raw_store(labelled, target)
    assert_same(labelled, target)


def flip_a_bit(path, place):
    with open(path, 'r+b') as file:
        file.seek(place)
        (value,) = file.read(1)
        file.seek(place)
        file.write(bytes([value ^ 1]))


def test_what_does_not_read_back_is_never_taken_for_whole(labelled, target, monkeypatch):
    put = raw_store._put
    with monkeypatch.context() as patch:
        patch.setattr(raw_store, '_put', lambda path, data, at: put(path, bytes(len(data)), at))
        with pytest.raises(DataError, match='damaged, its checksum differs'):
            create_raw_store(labelled, target)
    assert not os.path.exists(target)
    create_raw_store(labelled, target)
    assert_same(labelled, target)


def test_one_changed_bit_is_found(labelled, target):
    create_raw_store(labelled, target)
    assert verify_raw_store(target) == 9
    flip_a_bit(os.path.join(target, 'pixels.bin'), 4 * 48 * 40 * 3 + 7)
    with pytest.raises(DataError, match=r'x\.raw: b/02: damaged, its checksum differs') as error:
        verify_raw_store(target)
    assert len(error.value.problems) == 1
    candidates = open_candidates(target)
    assert check_candidates(candidates) == []
    assert len(check_candidates(candidates, decode=True)) == 1


def test_incomplete_stores_are_refused(labelled, target):
    create_raw_store(labelled, target)
    index, pixels = (os.path.join(target, name) for name in ('index.json', 'pixels.bin'))
    content = Path(index).read_text(encoding='utf-8')
    for broken in ('{', '[]', json.dumps(json.loads(content) | {'format': 'iqasr raw 9'})):
        Path(index).write_text(broken, encoding='utf-8')
        with pytest.raises(DataError, match=r'index\.json: not readable'):
            open_candidates(target)
    Path(index).write_text(content, encoding='utf-8')
    os.truncate(pixels, 1000)
    with pytest.raises(DataError, match=r'pixels\.bin: 1000 of 51840 bytes'):
        open_candidates(target)
    os.remove(pixels)
    with pytest.raises(DataError, match=r'pixels\.bin: missing'):
        open_candidates(target)


@pytest.mark.parametrize('offset', [-3, 'far', None, 1.5])
def test_places_that_are_none_are_refused(offset, labelled, target):
    create_raw_store(labelled, target)
    index = Path(target) / 'index.json'
    content = json.loads(index.read_text(encoding='utf-8'))
    next(iter(content['images'].values()))[0] = offset
    index.write_text(json.dumps(content), encoding='utf-8')
    with pytest.raises(DataError, match=r'index\.json: not readable'):
        open_candidates(target)


@pytest.mark.parametrize('opened', [False, True])
def test_store_that_is_cut_while_in_use_is_named(opened, labelled, target):
    """Reading beyond the end would kill the process without a word."""
    create_raw_store(labelled, target)
    candidates = open_candidates(target)
    file = candidates.groups[-1].files[0]
    if opened:
        candidates.reader.image(file)
    os.truncate(os.path.join(target, 'pixels.bin'), 1000)
    with pytest.raises(DataError, match=r'x\.raw: cut short while in use'):
        candidates.reader.image(file).sum()


def test_targets_that_cannot_be_made_are_refused(labelled, target):
    with pytest.raises(DataError, match=r"ends in '\.raw'"):
        create_raw_store(labelled, target + 'x')
    create_raw_store(labelled, target)
    with pytest.raises(FileExistsError, match='--overwrite'):
        create_raw_store(labelled, target)
    with pytest.raises(DataError, match='not a folder of images'):
        create_raw_store(target, target + '2.raw')
    with pytest.raises(DataError, match='carries its labels'):
        open_candidates(target, labelled)
    with pytest.raises(DataError, match="the key 'z' is missing"):
        open_candidates(target).reader.image('z')


@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_workers_read_what_their_parent_opened(labelled, target, method):
    create_raw_store(labelled, target)
    made = dataset(target)
    placed, places = PlacedDataset(made, seed=0), [[(0, 0), (1, 1), (2, 2)]]
    alone = list(DataLoader(placed, batch_sampler=places))
    workers = DataLoader(
        placed, batch_sampler=places, num_workers=1, multiprocessing_context=method
    )
    assert torch.equal(next(iter(workers))['gt'], alone[0]['gt'])
    assert len(pickle.dumps(made.candidates.reader)) < 5000
    made.candidates.reader.close()
    assert torch.equal(placed[0, 0]['gt'], alone[0]['gt'][0])


class Watched:
    """An image that counts the pixels that are taken of it."""

    def __init__(self, image, taken):
        self.image, self.shape, self.taken = image, image.shape, taken

    def __getitem__(self, place):
        part = self.image[place]
        self.taken.append(part.size // 3)
        return part


def test_only_the_crops_of_original_and_choice_are_touched(labelled, target, monkeypatch):
    create_raw_store(labelled, target)
    made = dataset(target, sampling=UniformSampler(candidates='enhanced'))
    image, taken, files = made.candidates.reader.image, [], []
    assert not image('a/01').flags.owndata  # a view of the mapped file

    def watch(file):
        files.append(file)
        return Watched(image(file), taken)

    monkeypatch.setattr(made.candidates.reader, 'image', watch)
    for number in range(30):
        taken.clear()
        files.clear()
        choice = int(made.draw(0, generator_at('item', number))['choice'])
        assert files == ['a/original', f'a/0{choice}']
        assert taken[0] <= (16 + 8) ** 2
        assert taken[1:] == [16**2]


def test_script_makes_and_verifies(labelled, target, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['x', '-i', labelled, '-o', target, '--codec', 'raw'])
    runpy.run_path(str(SCRIPT), run_name='__main__')
    assert_same(labelled, target)
    flip_a_bit(os.path.join(target, 'pixels.bin'), 3)
    monkeypatch.setattr(sys, 'argv', ['x', '-i', target, '--verify'])
    with pytest.raises(SystemExit, match='2'):
        runpy.run_path(str(SCRIPT), run_name='__main__')
    assert 'a/01: damaged' in capsys.readouterr().err
