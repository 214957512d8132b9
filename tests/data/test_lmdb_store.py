"""Folder -> LMDB -> the same images, whatever happens on the way."""

import collections
import json
import multiprocessing
import os
import pickle
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from basicsr.data.paired_image_dataset import PairedImageDataset
from PIL import Image

from iqasr.data.candidates.candidate_set import open_candidates
from iqasr.data.files.image_files import decode_rgb
from iqasr.data.stores import lmdb_store, store_steps
from iqasr.data.stores.lmdb_reader import LmdbReader
from iqasr.data.stores.lmdb_store import create_lmdb
from iqasr.runtime.errors import DataError
from iqasr.sampling.labels import Label

SCRIPT = Path(__file__).parents[2] / 'scripts' / 'create_lmdb.py'


@pytest.fixture
def target(tmp_path):
    return str(tmp_path / 'x.lmdb')


def assert_same(folder, made):
    """Assert that two sets hold the same bytes and judgements."""
    first, second = open_candidates(folder), open_candidates(made)
    for ours, theirs in zip(first.groups, second.groups, strict=True):
        assert ours._replace(files=()) == theirs._replace(files=())
        for file, key in zip(ours.files, theirs.files, strict=True):
            assert first.reader.read(file) == second.reader.read(key)
    second.reader.close()


def test_candidates_survive_unchanged(labelled, target):
    assert create_lmdb(labelled, target) == 9
    assert_same(labelled, target)
    assert sorted(os.listdir(target)) == ['data.mdb', 'groups.json', 'lock.mdb', 'meta_info.txt']
    assert not os.path.exists(f'{target}.partial')


def test_hggt_root_survives_unchanged(make_set, target, positive_then_negative):
    root = make_set(images='images/0-3', labels=positive_then_negative)
    create_lmdb(root, target)
    assert_same(root, target)


def test_labels_may_lie_elsewhere(labelled, target, tmp_path, positive_then_negative):
    shutil.move(os.path.join(labelled, 'labels'), tmp_path / 'elsewhere')
    create_lmdb(labelled, target, str(tmp_path / 'elsewhere'))
    groups = open_candidates(target).groups
    assert [group.labels[1:] for group in groups] == positive_then_negative


def test_labels_of_a_flat_folder_are_refused(labelled, target):
    with pytest.raises(DataError, match=r'original: holds no candidates; leave the labels'):
        create_lmdb(os.path.join(labelled, 'original'), target, os.path.join(labelled, 'labels'))


def test_grey_is_refused_in_candidates_only(labelled, target, make_picture):
    grey = os.path.join(labelled, '01', 'b_01.png')
    cv2.imwrite(grey, make_picture(0)[..., 0])
    with pytest.raises(DataError, match=rf'{grey}: greyscale\. Training takes RGB'):
        create_lmdb(labelled, target)
    assert create_lmdb(os.path.dirname(grey), f'{target}2.lmdb') == 3


def test_meta_info_is_that_of_basicsr(labelled, target):
    create_lmdb(labelled, target)
    lines = Path(target, 'meta_info.txt').read_text(encoding='utf-8').splitlines()
    assert len(lines) == 9
    assert lines[0] == 'a/01.png (48,40,3) 1'


def test_entries_are_the_images_and_nothing_else(labelled, target):
    create_lmdb(labelled, target)
    with lmdb.open(target, readonly=True, lock=False) as environment:
        assert environment.stat()['entries'] == 9


def test_stock_basicsr_reads_pairs(make_set, make_picture, tmp_path):
    for folder, scale in (('gt', 1), ('lq', 4)):
        (tmp_path / folder).mkdir()
        for number, name in enumerate(('a', 'b')):
            image = make_picture(number, 48 // scale, 40 // scale)
            cv2.imwrite(str(tmp_path / folder / f'{name}.png'), image)
        create_lmdb(str(tmp_path / folder), str(tmp_path / f'{folder}.lmdb'))
    options = {
        'dataroot_gt': str(tmp_path / 'gt.lmdb'),
        'dataroot_lq': str(tmp_path / 'lq.lmdb'),
        'io_backend': {'type': 'lmdb'},
        'phase': 'val',
        'scale': 4,
    }
    dataset = PairedImageDataset(options)
    assert len(dataset) == 2
    gt = (dataset[1]['gt'].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    assert np.array_equal(gt[..., ::-1], make_picture(1, 48, 40))
    assert dataset[0]['lq'].shape == (3, 12, 10)


def test_other_formats_are_stored_as_png_of_the_same_pixels(make_picture, tmp_path, target):
    folder = tmp_path / 'images'
    folder.mkdir()
    cv2.imwrite(str(folder / 'photo.jpg'), make_picture(0))
    Image.fromarray(make_picture(1)).save(folder / 'scan.bmp')
    create_lmdb(str(folder), target)
    reader = LmdbReader(target)
    for key, file in (('photo', 'photo.jpg'), ('scan', 'scan.bmp')):
        stored = reader.open(key).read()
        assert stored.startswith(b'\x89PNG')
        expected = decode_rgb((folder / file).read_bytes(), file)
        assert np.array_equal(decode_rgb(stored, key), expected)
    reader.close()


def test_first_image_does_not_decide_the_size(tmp_path, target, monkeypatch):
    monkeypatch.setattr(lmdb_store, '_SPARE_BYTES', 2**16)
    monkeypatch.setattr(store_steps, '_MOST_IMAGES_PER_BATCH', 2)
    folder = tmp_path / 'images'
    folder.mkdir()
    cv2.imwrite(str(folder / 'a_blank.png'), np.zeros((96, 96, 3), np.uint8))
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    for number in range(8):  # JPEG grows when it is stored as PNG
        cv2.imwrite(str(folder / f'b{number}.jpg'), noise, [cv2.IMWRITE_JPEG_QUALITY, 5])
    assert create_lmdb(str(folder), target) == 9
    assert os.path.getsize(os.path.join(target, 'data.mdb')) > 2**16 + 9 * 8192


class Killed(BaseException):
    """Stands for the end of the process: nothing may catch it."""


def stop_after(monkeypatch, batches):
    """Kill the run after so many batches of one image; returns what was read."""
    monkeypatch.setattr(store_steps, '_MOST_IMAGES_PER_BATCH', 1)
    write, load = lmdb_store._write, lmdb_store._load
    written, loaded = [], []

    def stopping(environment, images):
        if images and len(written) == batches:
            raise Killed
        write(environment, images)
        written.extend(images)

    def counting(source):
        loaded.append(source.key)
        return load(source)

    monkeypatch.setattr(lmdb_store, '_write', stopping)
    monkeypatch.setattr(lmdb_store, '_load', counting)
    return loaded


def test_killed_run_is_taken_up(labelled, target, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, batches=4)
        with pytest.raises(Killed):
            create_lmdb(labelled, target)
    assert not os.path.exists(target)
    loaded = stop_after(monkeypatch, batches=99)
    create_lmdb(labelled, target)
    assert len(loaded) == 5
    assert_same(labelled, target)


def test_changed_and_removed_sources_are_not_taken_from_the_first_run(
    labelled, target, monkeypatch, make_picture
):
    with monkeypatch.context() as patch:
        stop_after(patch, batches=8)
        with pytest.raises(Killed):
            create_lmdb(labelled, target)
    cv2.imwrite(os.path.join(labelled, '01', 'a_01.png'), make_picture(77))
    for name in ('original/b.png', '01/b_01.png', '02/b_02.png'):
        os.remove(os.path.join(labelled, name))
    loaded = stop_after(monkeypatch, batches=99)
    assert create_lmdb(labelled, target) == 6
    assert sorted(loaded) == ['a/01', 'c/original']
    assert_same(labelled, target)


def test_bad_images_are_all_named_and_the_rest_is_kept(labelled, target, make_picture):
    image = make_picture(0)
    deep, cut = (os.path.join(labelled, '01', f'{name}_01.png') for name in 'ac')
    cv2.imwrite(deep, image.astype(np.uint16) * 257)
    os.truncate(cut, 100)
    with pytest.raises(DataError) as error:
        create_lmdb(labelled, target)
    assert error.value.problems[0].startswith(f'{deep}: more than 8 bits')
    assert error.value.problems[1].startswith(f'{cut}: cut short')
    for name, path in (('a', deep), ('c', cut)):
        cv2.imwrite(path, make_picture(ord(name)))
    create_lmdb(labelled, target)
    assert_same(labelled, target)


def test_candidates_of_different_size_are_refused(labelled, target, make_picture):
    cv2.imwrite(os.path.join(labelled, '02', 'b_02.png'), make_picture(0, 44, 40))
    with pytest.raises(DataError, match=r'b: its candidates differ in size.*b/02 40 x 44'):
        create_lmdb(labelled, target)
    assert not os.path.exists(target)


def test_existing_target_is_replaced_only_on_request(labelled, make_set, target):
    create_lmdb(labelled, target)
    with pytest.raises(FileExistsError, match='--overwrite'):
        create_lmdb(labelled, target)
    other = make_set(names=('z',), root='other')
    create_lmdb(other, target, overwrite=True)
    assert_same(other, target)
    assert not os.path.exists(f'{target}.old')


@pytest.mark.parametrize(
    ('name', 'reason'), [('a.b.png', "'a.b', which BasicSR cannot"), ('ä.png', 'ASCII letters')]
)
def test_names_that_basicsr_cannot_read_are_refused(make_picture, tmp_path, target, name, reason):
    folder = tmp_path / 'images'
    folder.mkdir()
    Image.fromarray(make_picture(0)).save(folder / name)
    with pytest.raises(DataError, match=reason):
        create_lmdb(str(folder), target)


def test_bad_sources_and_targets_are_refused(labelled, target, tmp_path):
    create_lmdb(labelled, target)
    (tmp_path / 'empty').mkdir()
    for source, made, reason in (
        (str(tmp_path / 'absent'), target + '2.lmdb', 'not a folder of images'),
        (target, str(tmp_path / 'y.lmdb'), 'not a folder of images'),
        (str(tmp_path / 'empty'), str(tmp_path / 'y.lmdb'), 'holds no image'),
        (labelled, str(tmp_path / 'y'), "ends in '.lmdb'"),
    ):
        with pytest.raises(DataError, match=reason):
            create_lmdb(source, made)


def test_too_little_space_is_said_before_writing(labelled, target, monkeypatch):
    usage = collections.namedtuple('usage', 'free')
    monkeypatch.setattr(store_steps.shutil, 'disk_usage', lambda path: usage(free=1000))
    with pytest.raises(OSError, match=r'are needed at least, the disk has 0\.00 GB free'):
        create_lmdb(labelled, target)
    monkeypatch.undo()
    create_lmdb(labelled, target)
    assert_same(labelled, target)


def test_full_disk_while_writing_is_said_and_the_run_taken_up(labelled, target, monkeypatch):
    def full(environment, images):
        raise lmdb.DiskError('mdb_txn_commit: No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(lmdb_store, '_write', full)
        with pytest.raises(OSError, match=r'No space left.*goes on where it stopped'):
            create_lmdb(labelled, target)
    create_lmdb(labelled, target)
    assert_same(labelled, target)


@pytest.mark.parametrize('kept', [0.0, 0.01, 0.5, 0.999])
def test_lmdb_cut_short_is_refused(labelled, target, kept):
    create_lmdb(labelled, target)
    data = os.path.join(target, 'data.mdb')
    os.truncate(data, int(os.path.getsize(data) * kept))
    with pytest.raises(DataError, match=r'data\.mdb: (cut short|not an LMDB file)'):
        open_candidates(target)


def test_lmdb_that_is_cut_while_in_use_is_named(labelled, target):
    """Reading beyond the end would kill the process without a word."""
    create_lmdb(labelled, target)
    candidates = open_candidates(target)
    os.truncate(os.path.join(target, 'data.mdb'), 4096)
    with pytest.raises(DataError, match=r'cut short while in use'):
        candidates.reader.read(candidates.groups[-1].files[0])


def test_damaged_list_is_named(labelled, target):
    create_lmdb(labelled, target)
    (Path(target) / 'meta_info.txt').write_bytes(b'\xff\xfe\n')
    with pytest.raises(DataError, match=r'meta_info\.txt: line 1 is not'):
        open_candidates(target)


@pytest.mark.parametrize('name', ['data.mdb', 'meta_info.txt', 'groups.json'])
def test_lmdb_without_one_of_its_files_is_refused(labelled, target, name):
    create_lmdb(labelled, target)
    os.remove(os.path.join(target, name))
    with pytest.raises(DataError, match=f'{name} is missing'):
        open_candidates(target)


def test_lmdb_without_a_listed_image_is_refused(labelled, target):
    create_lmdb(labelled, target)
    with lmdb.open(target) as environment, environment.begin(write=True) as transaction:
        transaction.delete(b'b/01')
    with pytest.raises(DataError, match=r"1 of 9 images are not in data.mdb, the first is 'b/01'"):
        open_candidates(target)


@pytest.mark.parametrize('content', [[1], {'groups': [{'key': 'a', 'files': ['a/original']}]}])
def test_broken_groups_are_refused(labelled, target, content):
    create_lmdb(labelled, target)
    Path(target, 'groups.json').write_text(json.dumps(content), encoding='utf-8')
    with pytest.raises(DataError, match=r'groups\.json: not readable'):
        open_candidates(target)


def test_labels_beside_an_lmdb_are_refused(labelled, target):
    create_lmdb(labelled, target)
    with pytest.raises(DataError, match='carries its labels'):
        open_candidates(target, labelled)


def read_first(candidates):
    return candidates.reader.read(candidates.groups[0].files[0])


@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_processes_read_what_their_parent_opened(labelled, target, method):
    create_lmdb(labelled, target)
    candidates = open_candidates(target)
    expected = read_first(candidates)
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(candidates.reader.read, candidates.groups[0].files[:1]) == expected
    assert read_first(candidates) == expected


def test_two_sets_share_an_lmdb(labelled, target):
    create_lmdb(labelled, target)
    first, second = open_candidates(target), pickle.loads(pickle.dumps(open_candidates(target)))
    assert read_first(first) == read_first(second)
    first.reader.close()
    assert read_first(second)


def test_script_takes_labels_along(labelled, tmp_path, target, monkeypatch):
    shutil.move(os.path.join(labelled, 'labels'), tmp_path / 'elsewhere')
    arguments = ['-i', labelled, '-o', target, '--labels', str(tmp_path / 'elsewhere')]
    monkeypatch.setattr(sys, 'argv', ['create_lmdb.py', *arguments])
    runpy.run_path(str(SCRIPT), run_name='__main__')
    assert open_candidates(target).groups[0].labels[1] is Label.POSITIVE


def test_script_runs_anywhere_and_ends_in_a_message(tmp_path):
    command = [sys.executable, str(SCRIPT), '-i', 'nowhere', '-o', 'x.lmdb']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == 'create_lmdb.py: nowhere: not a folder of images.\n'
