"""Weights at a URL: whole, cut off, resumed, of a wrong hash, without space, unconverted."""

import errno
import json
import shutil
from types import SimpleNamespace

import pytest
from safetensors import safe_open

from iqasr.pretrained import download, find_weights
from iqasr.pretrained.cache import METADATA_KEY
from iqasr.runtime.errors import MissingWeightsError


def test_weights_are_fetched_once_and_say_what_they_are_of(add_url, server, content, assert_tiny):
    entry = add_url()
    assert_tiny()
    assert_tiny()
    assert server.requests == [None]
    with safe_open(find_weights('tiny'), 'pt') as file:
        about = json.loads(file.metadata()[METADATA_KEY])
    assert about['entry'] == 'tiny'
    assert about['source'] == f'{server.url}/tiny.pth'
    assert about['sha256'] == entry.sources[0].files[0].sha256


def test_the_file_in_the_cache_has_the_same_bytes_every_time(add_url):
    add_url()
    first = find_weights('tiny').read_bytes()
    find_weights('tiny').unlink()
    assert find_weights('tiny').read_bytes() == first


def test_a_download_that_is_cut_off_goes_on_where_it_ended(add_url, server, content, assert_tiny):
    add_url()
    server.cuts = 1
    assert_tiny()
    assert server.requests == [None, f'bytes={len(content) // 2}-']


def test_what_has_arrived_is_kept_for_the_next_call(add_url, server, assert_tiny):
    add_url()
    server.cuts = download.ATTEMPTS
    with pytest.raises(MissingWeightsError, match='cut off after'):
        find_weights('tiny')
    server.requests.clear()
    assert_tiny()
    assert len(server.requests) == 1
    assert server.requests[0] is not None


def test_a_server_without_ranges_sends_all_of_it_again(add_url, server, assert_tiny):
    add_url()
    server.cuts, server.ranges = 1, False
    assert_tiny()


def test_a_wrong_hash_is_refused_and_nothing_stays(add_url, folders):
    add_url(sha='0' * 64)
    with pytest.raises(MissingWeightsError, match=r'has SHA-256 .* not 0000'):
        find_weights('tiny')
    assert [
        path for path in (folders / 'cache').rglob('*') if path.suffix in ('.pth', '.part')
    ] == []


def test_the_first_digits_of_a_hash_are_compared(add_url, content, assert_tiny):
    entry = add_url()
    add_url(sha=entry.sources[0].files[0].sha256[:8])
    assert_tiny()


def test_too_little_space_is_said_before_anything_is_written(add_url, monkeypatch):
    add_url()
    monkeypatch.setattr(shutil, 'disk_usage', lambda folder: SimpleNamespace(free=10))
    with pytest.raises(MissingWeightsError, match=r'MB are needed and 0 MB free.*IQASR_CACHE'):
        find_weights('tiny')


def test_space_that_ends_while_converting_leaves_no_file(add_url, monkeypatch):
    add_url()

    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('os.fsync', full)
    with pytest.raises(RuntimeError, match='Free some space'):
        find_weights('tiny')
    monkeypatch.undo()


def test_a_missing_page_is_said(add_entry, server):
    from iqasr.pretrained.entry import url_source

    add_entry('tiny', url_source('http://127.0.0.1:9', {'tiny.pth': ''}))
    with pytest.raises(MissingWeightsError, match=r'127.0.0.1:9/tiny.pth: .*refused'):
        find_weights('tiny')


def test_what_only_another_library_reads_is_kept_as_it_is(add_url, folders, content):
    add_url(kept_at='pyiqa/tiny.pth')
    path = find_weights('tiny')
    assert path == folders / 'torch' / 'hub' / 'pyiqa' / 'tiny.pth'
    assert path.read_bytes() == content


def test_files_for_other_libraries_are_made_but_never_replaced(add_url, folders):
    add_url(hub_files={'pyiqa/a.pth': dict, 'pyiqa/b.pth': dict})
    there = folders / 'torch' / 'hub' / 'pyiqa' / 'a.pth'
    there.parent.mkdir(parents=True)
    there.write_bytes(b'of somebody else')
    find_weights('tiny')
    assert there.read_bytes() == b'of somebody else'
    assert (there.parent / 'b.pth').is_file()
