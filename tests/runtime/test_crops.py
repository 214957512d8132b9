import numpy as np
import pytest

from iqasr.runtime.crops import LABEL_HEIGHT, crop_grid, cut_square, tiles_along, tiles_within

IMAGE = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)


def test_square_ends_where_the_image_ends():
    assert np.array_equal(cut_square(IMAGE, (1, 2), 2), IMAGE[1:3, 2:4])
    assert cut_square(IMAGE, (3, 1), 9).shape == (2, 3, 3)


def test_grid_repeats_pixels_and_pads_with_white():
    grid = crop_grid([[IMAGE[:2, :2], IMAGE[:1, :2]]], ['a', 'b'], crop_px=2, zoom=3)
    assert grid.shape == (LABEL_HEIGHT + 6, 12, 3)
    crops = grid[LABEL_HEIGHT:]
    assert np.array_equal(crops[:, :6], IMAGE[:2, :2].repeat(3, 0).repeat(3, 1))
    assert (crops[3:, 6:] == 255).all()
    assert (grid[:LABEL_HEIGHT] < 128).any()


@pytest.mark.parametrize(('length', 'tile'), [(1, 1), (7, 3), (224, 224), (225, 224), (1020, 224)])
def test_tiles_cover_a_length_at_even_distances(length, tile):
    tiles = tiles_along(length, tile)
    seen = {place for part in tiles for place in range(length)[part]}
    assert seen == set(range(length))
    assert {part.stop - part.start for part in tiles} == {tile}
    steps = np.diff([part.start for part in tiles])
    assert len(steps) == 0 or steps.max() - steps.min() <= 1


@pytest.mark.parametrize('most', [1, 2, 5, 19, 20, 100])
def test_grid_of_tiles_covers_an_image_or_is_coarser(most):
    tiles = tiles_within((676, 1020), 224, most)
    assert len(tiles) == {1: 1, 2: 2, 5: 3, 19: 15, 20: 20, 100: 20}[most]
    covered = np.zeros((676, 1020), bool)
    for rows, columns in tiles:
        assert covered[rows, columns].shape == (224, 224)
        covered[rows, columns] = True
    assert covered.all() == (most >= 20)
    assert covered[::-1, ::-1].sum() == covered.sum()


def test_few_tiles_lie_in_the_middle_of_a_side():
    middle = slice(100, 200)
    assert tiles_within((300, 1000), 100, 2) == [
        (middle, slice(0, 100)),
        (middle, slice(900, 1000)),
    ]
    assert tiles_within((1000, 300), 100, 1) == [(slice(450, 550), middle)]
