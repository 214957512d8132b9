"""Images that a validation or a test saves."""

import resource

import cv2
import numpy as np
import pytest

from iqasr.evaluation.evaluate import write_image
from iqasr.runtime.errors import StorageError


@pytest.fixture
def full_disk():
    """No file may grow beyond 2,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_an_image_is_written_whole_in_a_new_folder(photographs, tmp_path):
    path = tmp_path / 'new/image.png'
    write_image(path, photographs[0][..., ::-1])
    assert np.array_equal(cv2.imread(str(path))[..., ::-1], photographs[0])


@pytest.mark.usefixtures('full_disk')
def test_an_image_that_does_not_fit_leaves_nothing(photographs, tmp_path):
    with pytest.raises(StorageError, match=r'image\.png: cannot be saved'):
        write_image(tmp_path / 'image.png', photographs[0])
    assert list(tmp_path.iterdir()) == []
