"""The choice of patches, on images whose answer is known."""

import numpy as np
import pytest

from iqasr.enhancement.patches import (
    PatchRules,
    choose_patches,
    contrast_and_detail,
    difference,
    draw_places,
)
from iqasr.runtime.randomness import generator_at

SIDE = 32
RULES = PatchRules(SIDE, SIDE, 0, least_contrast=30, least_detail=30)
CHECKERS = np.indices((SIDE, SIDE)).sum(0) % 2


def grey(levels):
    return np.repeat(np.asarray(levels, np.uint8)[..., None], 3, axis=2)


def flat(level=128):
    return grey(np.full((SIDE, SIDE), level))


def checkered(low, high):
    return grey(np.where(CHECKERS, high, low))


def of_one_patch(monkeypatch, *versions):
    monkeypatch.setattr('iqasr.enhancement.patches.START_PX', ((0, 0),))
    return choose_patches(versions, RULES, generator_at('one'))


def test_contrast_and_detail_by_hand():
    contrast, detail = contrast_and_detail(checkered(100, 160))
    assert contrast == 30
    # The Laplacian is 4 * 60 where the pixel is dark and cut off at 0 where it is bright.
    assert detail == pytest.approx(120**2)
    assert contrast_and_detail(flat()) == (0, 0)


@pytest.mark.parametrize(
    ('original', 'candidate', 'kept'),
    [
        (flat(), flat(), False),
        (checkered(100, 160), flat(), True),
        (flat(), checkered(100, 160), True),
        (checkered(100, 159), checkered(100, 159), False),  # contrast 29.5
        (grey(np.linspace(0, 200, SIDE)[None].repeat(SIDE, 0)), flat(), False),  # no detail
    ],
)
def test_any_version_with_contrast_and_detail_keeps_a_patch(monkeypatch, original, candidate, kept):
    assert bool(of_one_patch(monkeypatch, original, candidate)) is kept


def test_brighter_and_darker_pixels_do_not_cancel(monkeypatch):
    """As published, by the absolute value of the mean difference, the left would be first."""
    monkeypatch.setattr('iqasr.enhancement.patches.START_PX', ((0, 0),))
    patch, brighter, sharper = checkered(80, 180), checkered(85, 185), checkered(60, 200)
    original, candidate = np.hstack([patch, patch]), np.hstack([brighter, sharper])
    assert (difference(patch, brighter), difference(patch, sharper)) == (5, 20)
    assert (patch.astype(float) - sharper).mean() == 0
    places = choose_patches([original, candidate], RULES, generator_at('order'))
    assert places == [(0, SIDE), (0, 0)]


def test_largest_difference_of_any_candidate_counts_and_most_cuts(monkeypatch):
    monkeypatch.setattr('iqasr.enhancement.patches.START_PX', ((0, 0),))
    original = np.hstack([checkered(80, 180)] * 3)
    first = np.hstack([checkered(80 + d, 180 + d) for d in (3, 0, 1)])
    second = np.hstack([checkered(80 + d, 180 + d) for d in (0, 7, 1)])
    versions = [original, first, second]
    assert choose_patches(versions, RULES, generator_at(0)) == [(0, 32), (0, 0), (0, 64)]
    rules = PatchRules(SIDE, SIDE, 0, most=1)
    assert choose_patches(versions, rules, generator_at(0)) == [(0, 32)]


def test_published_lattice_starts_and_moves_as_far_as_said():
    size, far = (1300, 2500), np.array([64, 128])
    still = [
        np.array(draw_places(size, PatchRules(jitter_px=0), generator_at(n))) for n in range(60)
    ]
    starts = np.array([places[0] for places in still])
    assert (starts <= far).all()
    assert (starts.max(0) > 0.9 * far).all()
    offsets = still[0] - starts[0]
    assert {tuple(o) for o in offsets} == {(288 * i, 288 * j) for i in range(3) for j in range(7)}
    moved = np.concatenate([draw_places(size, PatchRules(), generator_at(n)) for n in range(60)])
    assert moved.min() == 0
    assert (moved.max(0) <= np.array(size) - 512).all()


def test_jitter_reaches_both_ends(monkeypatch):
    monkeypatch.setattr('iqasr.enhancement.patches.START_PX', ((0, 0),))
    rules = PatchRules(8, 40, 16)
    moved = np.array(draw_places((4000, 400), rules, generator_at(0)))
    offsets = (moved + 16) % 40 - 16
    assert set(offsets.flatten()) == set(range(-16, 17))


def test_image_smaller_than_a_patch_has_none():
    assert draw_places((511, 900), PatchRules(), generator_at(0)) == []


@pytest.mark.parametrize(
    'wrong', [{'size_px': 0}, {'stride_px': 0}, {'jitter_px': -1}, {'most': 0}]
)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match='must be at least 1, jitter at least 0'):
        PatchRules(**wrong)
