"""The index of a folder: used while nothing has changed, and never a moment longer."""

import os
import time
from pathlib import Path

import pytest

from iqasr.data.candidates import folder_index
from iqasr.data.candidates.candidate_set import open_candidates
from iqasr.data.candidates.folder_index import INDEX_FILE
from iqasr.data.candidates.hggt import write_votes
from iqasr.data.checks.candidate_checks import check_candidates
from iqasr.runtime.errors import DataError
from iqasr.sampling.labels import Label

HOUR_AGO = time.time() - 3600


def age(root):
    """Let every file look as if it had not changed for an hour."""
    for folder, _, names in os.walk(root):
        for name in names:
            os.utime(os.path.join(folder, name), (HOUR_AGO, HOUR_AGO))


@pytest.fixture
def root(make_set, positive_then_negative):
    root = make_set(images='images/0-3', labels=positive_then_negative)
    age(root)
    return root


@pytest.fixture
def scans(monkeypatch):
    """Count the times that a folder is scanned, and the images that are looked at."""
    counts = {'scans': 0, 'inspected': 0}
    read_folders, inspect = folder_index.read_folders, folder_index.FileReader.inspect

    def scan(*arguments, **options):
        counts['scans'] += 1
        return read_folders(*arguments, **options)

    def look(self, file, **options):
        counts['inspected'] += 1
        return inspect(self, file, **options)

    monkeypatch.setattr(folder_index, 'read_folders', scan)
    monkeypatch.setattr(folder_index.FileReader, 'inspect', look)
    return counts


def start(root, **options):
    found = open_candidates(root, **options)
    return found, check_candidates(found)


def test_second_start_finds_the_same_and_reads_nothing(root, scans):
    first, problems = start(root)
    assert (problems, scans) == ([], {'scans': 1, 'inspected': 9})
    second, problems = start(root)
    assert (problems, scans) == ([], {'scans': 1, 'inspected': 9})
    assert second.groups == first.groups
    assert isinstance(second.groups[0].labels[1], Label)
    assert check_candidates(second, min_size=41) == check_candidates(first, min_size=41)
    assert check_candidates(second, decode=True) == []
    assert scans['inspected'] == 9 + 9


def change_label(root):
    path = os.path.join(root, 'labels', '0-3', 'A', 'a.json')
    write_votes(path, 'a', {'01': Label.NEGATIVE, '02': Label.POSITIVE})


def add_group(root):
    images = os.path.join(root, 'images', '0-3')
    for folder, ending in (('original', ''), ('01', '_01'), ('02', '_02')):
        data = Path(images, folder, f'a{ending}.png').read_bytes()
        Path(images, folder, f'z{ending}.png').write_bytes(data)
    for who in 'ABC':
        data = Path(root, 'labels', '0-3', who, 'a.json').read_text(encoding='utf-8')
        Path(root, 'labels', '0-3', who, 'z.json').write_text(data, encoding='utf-8')


def remove_candidate(root):
    os.remove(os.path.join(root, 'images', '0-3', '02', 'b_02.png'))


def touch_image(root):
    path = os.path.join(root, 'images', '0-3', '01', 'c_01.png')
    os.utime(path, (HOUR_AGO + 60, HOUR_AGO + 60))


@pytest.mark.parametrize('change', [change_label, add_group, remove_candidate, touch_image])
def test_any_change_is_noticed(root, scans, change):
    start(root, allow_missing=True)
    change(root)
    assert scans['scans'] == 1
    found = open_candidates(root, allow_missing=True)
    assert scans['scans'] == 2
    os.remove(os.path.join(root, INDEX_FILE))
    assert found.groups == open_candidates(root, allow_missing=True).groups


def test_broken_image_is_found_again_and_again(root, scans):
    path = os.path.join(root, 'images', '0-3', '01', 'a_01.png')
    os.truncate(path, 200)
    os.utime(path, (HOUR_AGO, HOUR_AGO))
    for _ in range(2):
        assert 'cut short' in start(root)[1][0]


def test_incomplete_sets_are_not_kept(root):
    remove_candidate(root)
    for _ in range(2):
        with pytest.raises(DataError, match=r'b_02\.png: missing'):
            open_candidates(root)
    assert not os.path.exists(os.path.join(root, INDEX_FILE))
    open_candidates(root, allow_missing=True)
    with pytest.raises(DataError, match=r'b_02\.png: missing'):
        open_candidates(root)


def test_files_that_have_just_changed_are_not_trusted(root, scans):
    os.utime(os.path.join(root, 'images', '0-3', '01', 'a_01.png'))
    for _ in range(2):
        start(root)
    assert scans['scans'] == 2
    assert not os.path.exists(os.path.join(root, INDEX_FILE))


@pytest.mark.parametrize('content', ['', '{', '[]', '{"stamp": 1}'])
def test_broken_index_is_made_again(root, scans, content):
    start(root)
    Path(root, INDEX_FILE).write_text(content, encoding='utf-8')
    start(root)
    start(root)
    assert scans['scans'] == 2


@pytest.mark.parametrize('refused', [['replace'], ['replace', 'unlink']])
def test_folder_that_cannot_be_written_is_read_all_the_same(root, monkeypatch, refused):
    def refuse(*_, **__):
        raise OSError(30, 'Read-only file system')

    for name in refused:
        monkeypatch.setattr(Path, name, refuse)
    assert len(start(root)[0].groups) == 3
