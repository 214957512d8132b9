import numpy as np

from iqasr.runtime.crops import LABEL_HEIGHT, crop_grid, cut_square

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
