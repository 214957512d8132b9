import base64

import cv2
import numpy as np
import pytest

from iqasr.data.files.photographs import detailed_places
from iqasr.evaluation.result_folder import read_result_folders
from iqasr.report import PictureSize, picture_grid
from iqasr.report.pictures import (
    choose_places,
    cut_views,
    data_uri,
    most_different_place,
    picture_rows,
    read_versions,
)
from iqasr.runtime.crops import cut_square
from iqasr.runtime.errors import DataError


def decoded(uri):
    data = base64.b64decode(uri.split(',')[1])
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def test_versions_are_runs_then_ground_truth_then_input(two_runs, photographs):
    versions = read_versions(read_result_folders(two_runs), 'pieces', '03')
    assert list(versions) == [0, 1, 2, 3]
    assert (versions[1][60:80, 10:30] == 255).all()
    np.testing.assert_array_equal(versions[2], photographs[3][..., ::-1])
    np.testing.assert_array_equal(
        versions[3][:4, :4], np.broadcast_to(versions[3][0, 0], (4, 4, 3))
    )


def test_crop_lies_where_the_runs_differ(two_runs):
    versions = read_versions(read_result_folders(two_runs), 'pieces', '00')
    assert most_different_place([versions[0], versions[1]], 20) == (60, 10)
    views = cut_views(versions, 2, PictureSize(crop_px=20, whole_px=48, quality=100))
    first, second, whole = views
    assert first == 'most different: 20 x 20 px at (10, 60)'
    np.testing.assert_array_equal(decoded(views[first][1]), 255)
    assert second.startswith('most detailed')
    assert whole == 'whole: 96 x 96 px, reduced 2.0 times'
    assert decoded(views[whole][3]).shape == (48, 48, 3)


def test_image_smaller_than_a_crop_is_shown_as_it_is(two_runs):
    versions = read_versions(read_result_folders(two_runs), 'pieces', '00')
    (pictures,) = cut_views(versions, 2, PictureSize(500, whole_px=0, quality=100)).values()
    assert decoded(pictures[2]).shape == (96, 96, 3)


def test_jpeg_keeps_within_a_few_grey_levels(photographs):
    image = np.ascontiguousarray(photographs[0][..., ::-1])
    error = np.abs(decoded(data_uri(image, 92)).astype(float) - image)
    assert 0 < error.mean() < 2.5


def test_detail_is_that_of_the_grey_levels_of_bgr():
    image = np.full((40, 80, 3), 128, np.uint8)
    image[::2, :40, 2] = image[::2, 40:, 0] = 228  # red, which is brighter, left; blue right
    assert choose_places([image], image, 40) == {'most detailed': (0, 0)}


@pytest.mark.parametrize('what', ['output', 'gt'])
def test_other_sizes_are_refused_by_name(two_runs, what):
    results = read_result_folders(two_runs)
    path = results[1].find_file('pieces', '03', what)
    cv2.imwrite(str(path), cv2.imread(str(path))[:90])
    with pytest.raises(DataError, match='03') as refusal:
        read_versions(results, 'pieces', '03')
    assert '96 x 9' in str(refusal.value)


@pytest.mark.parametrize('size', [{'quality': 0}, {'quality': 101}, {'crop_px': -1}])
def test_sizes_out_of_range_are_refused(size):
    with pytest.raises(ValueError, match='must be'):
        PictureSize(**size)


def test_grid_has_a_column_per_version(two_runs):
    grid = picture_grid(read_result_folders(two_runs), crop_px=48, zoom=1, per_image=2)
    assert grid.shape == (22 + 10 * 2 * 48, 3 * 48, 3)


def test_grid_leaves_the_place_of_a_missing_ground_truth_white(two_runs):
    results = read_result_folders(two_runs)
    del results[0].sets['pieces']['files']['00']['gt']
    grid = picture_grid(results, crop_px=48, zoom=1, per_image=1)
    assert grid.shape == (22 + 10 * 48, 3 * 48, 3)
    assert (grid[22:70, 96:] == 255).all()
    assert not (grid[70:118, 96:] == 255).all()


def test_rows_without_ground_truth_show_the_networks(two_runs):
    results = {r.name: r for r in read_result_folders(two_runs)}
    for files in results['base'].sets['pieces']['files'].values():
        del files['gt']
    rows = picture_rows([['base'], ['other']], results, crop_px=48, zoom=1, photographs=1)
    assert rows.shape == (2 * (22 + 48), 2 * 48, 3)
    assert (rows[22:70, 48:] == 255).all()


def test_rows_show_the_most_detailed_photographs_first(two_runs):
    results = {r.name: r for r in read_result_folders(two_runs)}
    base, crops, detail = results['base'], {}, {}
    for name in base.sets['pieces']['files']:
        truth = cv2.imread(str(base.find_file('pieces', name, 'gt')))
        crops[name] = cut_square(truth, *detailed_places(truth[..., ::-1], 48, 1), 48)
        grey = cv2.cvtColor(crops[name], cv2.COLOR_BGR2GRAY)
        detail[name] = cv2.Laplacian(grey, cv2.CV_64F).var()
    best = sorted(crops, key=detail.__getitem__)[:-3:-1]
    rows = picture_rows([['base']], results, crop_px=48, zoom=1, photographs=2)
    assert len({*detail.values()}) > 2
    assert (rows[22:70, 48:] == crops[best[0]]).all()
    assert (rows[92:140, 48:] == crops[best[1]]).all()
