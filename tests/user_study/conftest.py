"""A small study of three methods."""

import cv2
import pytest

from iqasr.user_study import Design, make_study

METHODS = ('fine_net', 'soft_net', 'dull_net')
"""From the best to the worst: by how much their images are blurred."""


@pytest.fixture(scope='session')
def method_folders(photographs, tmp_path_factory):
    """Folders of three images each, by method; and `gt`."""
    root = tmp_path_factory.mktemp('methods')
    for name, sigma in zip(('gt', *METHODS), (0, 0.5, 1.0, 1.5), strict=True):
        (root / name).mkdir()
        for number in (0, 3, 6):
            image = photographs[number]
            blurred = cv2.GaussianBlur(image, (0, 0), sigma) if sigma else image
            cv2.imwrite(str(root / name / f'scene{number}.png'), blurred[..., ::-1])
    return root


@pytest.fixture
def study(method_folders, tmp_path):
    """A study in `tmp_path`; returns its manifest."""
    folders = [str(method_folders / name) for name in METHODS]
    design = Design(crop_px=48, per_rater=5, catch=2, repeats=2, min_seconds=0)
    return make_study(folders, str(tmp_path), design)
