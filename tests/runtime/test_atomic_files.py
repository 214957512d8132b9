import errno
import io
import os

import pytest
import torch

from iqasr.runtime import atomic_files
from iqasr.runtime.atomic_files import open_atomically, write_text_atomically
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


def test_what_interrupts_a_write_is_not_taken_for_a_full_disk(tmp_path):
    path = tmp_path / 'state'
    with pytest.raises(RuntimeError, match='a worker was killed') as caught, open_atomically(path):
        raise RuntimeError('a worker was killed')
    assert not isinstance(caught.value, StorageError)
    assert list(tmp_path.iterdir()) == []


def test_torch_that_cannot_write_is_a_full_disk(tmp_path, monkeypatch):
    class FullDisk(io.BytesIO):
        def write(self, content):
            if self.tell() > 1000:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(content)

    with pytest.raises((RuntimeError, OSError)) as caught:
        torch.save({'weights': torch.zeros(9999)}, FullDisk())
    with pytest.raises(StorageError, match='Free some space'), open_atomically(tmp_path / 'state'):
        raise caught.value
