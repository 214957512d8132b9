"""MAXIM with a function in place of its graph; once with the graph itself, if it is here."""

import importlib.util
import sys

import numpy as np
import pytest
import skimage.data

from iqasr.enhancement import MaximEnhancer, maxim
from iqasr.enhancement.patches import difference
from iqasr.enhancement.recipe import build_recipes
from iqasr.pretrained import CATALOGUE
from iqasr.pretrained.cache import is_here
from iqasr.runtime.errors import CheckpointError, OptionError

PHOTOGRAPH = np.ascontiguousarray(skimage.data.coffee()[60:237, 200:303])  # 177 x 103 px


@pytest.fixture
def stand_in(monkeypatch):
    """Let a function stand in for every graph; returns the inputs that it was given."""
    seen = []

    def install(graph):
        def record(image):
            seen.append(image)
            return graph(image)

        monkeypatch.setattr(maxim, 'import_tensorflow', lambda: None)
        monkeypatch.setattr(maxim, 'load_weights', lambda name: {})
        monkeypatch.setattr(maxim, 'open_graph', lambda tensorflow, weights: record)
        return seen

    return install


@pytest.mark.parametrize('shape', [(177, 103), (64, 128), (1, 1), (3, 200), (63, 65)])
@pytest.mark.parametrize(('tile', 'overlap'), [(512, 32), (50, 7), (64, 0)])
def test_the_identity_returns_the_photograph(stand_in, shape, tile, overlap):
    seen = stand_in(lambda image: image)
    photograph = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    before = photograph.copy()
    found = MaximEnhancer(tile_px=tile, overlap_px=overlap).enhance(photograph)
    assert found.dtype == np.uint8
    assert np.array_equal(found, before)
    assert np.array_equal(photograph, before)
    for image in seen:
        assert image.dtype == np.float32
        assert image.shape[0] == 1
        assert all(side % 64 == 0 for side in image.shape[1:3])
        assert max(image.shape[1:3]) <= tile + 2 * overlap + 63


def test_the_graph_sees_rgb_in_0_to_1_and_its_output_is_clamped(stand_in):
    seen = stand_in(lambda image: 2 * image - np.float32([0, 0.5, 1]))
    found = MaximEnhancer(tile_px=40, overlap_px=4).enhance(PHOTOGRAPH)
    expected = (2.0 * PHOTOGRAPH - [0, 127.5, 255]).clip(0, 255)
    assert np.abs(found - expected).max() <= 0.51
    assert max(image.max() for image in seen) <= 1


def test_what_is_missing_of_a_multiple_is_reflected(stand_in):
    seen = stand_in(lambda image: image)
    MaximEnhancer().enhance(PHOTOGRAPH)
    (image,) = seen
    assert image.shape == (1, 192, 128, 3)
    assert np.array_equal(image[0, 177:, :103], image[0, 175:160:-1, :103])
    assert np.array_equal(image[0, :177, 103:], image[0, :177, 101:76:-1])


def test_the_overlap_hides_what_the_graph_does_at_the_edges_of_tiles(stand_in):
    def darken_edges(image):
        result = np.zeros_like(image)
        result[:, 5:-5, 5:-5] = image[:, 5:-5, 5:-5]
        return result

    stand_in(darken_edges)
    found = MaximEnhancer(tile_px=54, overlap_px=5).enhance(PHOTOGRAPH)
    assert np.array_equal(found[5:-5, 5:-5], PHOTOGRAPH[5:-5, 5:-5])


def test_a_task_may_be_named_and_is_checked(stand_in, monkeypatch):
    stand_in(lambda image: image)
    asked = []
    monkeypatch.setattr(maxim, 'load_weights', lambda name: asked.append(name) or {})
    words = ['MaximEnhancer', '{type: MaximEnhancer, task: deblurring}', 'maxim-denoising']
    names = [recipe.name for recipe in build_recipes(words)]
    assert names == asked == ['maxim-retouching', 'maxim-deblurring', 'maxim-denoising']
    with pytest.raises(OptionError, match='task'):
        build_recipes(['{type: MaximEnhancer, task: denoise}'])
    for options in ({'tile_px': 0}, {'overlap_px': -1}):
        with pytest.raises(ValueError, match='tiles need at least 1'):
            MaximEnhancer(**options)


def test_without_tensorflow_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'tensorflow', None)
    with pytest.raises(CheckpointError, match=r'pip install "iqasr\[maxim\]"'):
        MaximEnhancer()


@pytest.mark.skipif(importlib.util.find_spec('tensorflow') is None, reason='no TensorFlow')
@pytest.mark.skipif(
    not is_here(CATALOGUE['maxim-denoising']), reason='maxim-denoising is not in the cache'
)
def test_the_graph_itself_removes_noise():
    clean = np.ascontiguousarray(PHOTOGRAPH[:90, :70])
    noise = np.random.default_rng(0).normal(0, 12, clean.shape)
    noisy = (clean + noise).clip(0, 255).round().astype(np.uint8)
    enhancer = MaximEnhancer(task='denoising')
    found = enhancer.enhance(noisy)
    assert difference(found, clean) < 0.7 * difference(noisy, clean)
    assert np.array_equal(enhancer.enhance(noisy), found)
