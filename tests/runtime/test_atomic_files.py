import errno
import os

import pytest

from iqasr.runtime import atomic_files
from iqasr.runtime.atomic_files import write_text_atomically
from iqasr.runtime.errors import StorageError


@pytest.mark.parametrize(
    ('number', 'advice'),
    [(errno.ENOSPC, 'Free some space'), (errno.EROFS, 'Nothing may be written to .*results;')],
)
def test_failed_write_says_what_to_do_and_leaves_what_was_there(
    tmp_path, monkeypatch, number, advice
):
    path = tmp_path / 'results' / 'table.csv'
    write_text_atomically('old', path)

    def fail(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(atomic_files.os, 'fsync', fail)
    with pytest.raises(StorageError, match=advice):
        write_text_atomically('new', path)
    assert [file.name for file in path.parent.iterdir()] == ['table.csv']
    assert path.read_text() == 'old'
