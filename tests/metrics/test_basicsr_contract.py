"""Metrics as BasicSR calls them, with output, ground truth and all options of the section."""

import inspect

import numpy as np
import pytest
import skimage.data
from basicsr.metrics import calculate_metric

from iqasr.metrics import build_metric
from iqasr.metrics.quality_metric import load_scorer
from iqasr.quality import QualityScorer
from iqasr.registry import METRIC_REGISTRY, SCORER_REGISTRY

GT = np.ascontiguousarray(skimage.data.astronaut()[100:300, 100:320, ::-1])
OUTPUT = (GT + np.random.default_rng(0).normal(0, 8, GT.shape)).clip(0, 255).astype(np.uint8)
IMAGES = {'img': OUTPUT, 'img2': GT}
OPTIONS = {'crop_border': 4, 'scorer': {'type': 'RankerScorer'}, 'tile_px': 64, 'period': 4}
ONLY_HERE = {'calculate_lr_psnr': '`lq`', 'calculate_base_distance': '`base`'}
"""Metrics of images that BasicSR does not pass on."""


def section_of(name):
    function = METRIC_REGISTRY.get(name)
    taken = inspect.signature(function).parameters
    return {'type': name} | {key: value for key, value in OPTIONS.items() if key in taken}


OURS = [name for name, function in METRIC_REGISTRY if function.__module__.startswith('iqasr.')]


@pytest.mark.parametrize('name', OURS)
def test_every_metric_works_in_basicsr(name):
    section = section_of(name) | {'better': 'higher'}
    if name in ONLY_HERE:
        reason = f'{name} needs {ONLY_HERE[name]}, .* RestorationModel gives it; remove it from'
        with pytest.raises(ValueError, match=reason):
            calculate_metric(IMAGES, section)
    else:
        value = calculate_metric(IMAGES, section)
        assert type(value) is float
        assert np.isfinite(value)


@pytest.mark.parametrize('name', sorted(set(OURS) - set(ONLY_HERE)))
def test_every_metric_has_the_same_value_in_basicsr(name):
    here = build_metric('m', section_of(name) | {'type': name.removesuffix('_iqasr')})
    assert calculate_metric(IMAGES, section_of(name)) == here(IMAGES)


@pytest.mark.parametrize(
    ('old', 'new'),
    [('QualityMetric', 'calculate_quality'), ('WorstTile', 'calculate_worst_tile')],
)
def test_old_names_are_the_same_functions(old, new):
    assert METRIC_REGISTRY.get(old) is METRIC_REGISTRY.get(new)


class CountedScorer(QualityScorer):
    """Mean of an image, or similarity to a reference; counts its constructions."""

    name, version, min_size = 'counted', '1', 4
    count = 0

    def __init__(self, reference: bool = False, lower: bool = False):
        super().__init__()
        self.needs_reference, self.lower_better = reference, lower
        type(self).count += 1

    def _score(self, image, reference=None):
        return (image if reference is None else image - reference).mean((1, 2, 3))


@pytest.fixture
def counted(monkeypatch):
    cls = type('CountedScorer', (CountedScorer,), {})
    monkeypatch.setitem(SCORER_REGISTRY._obj_map, 'CountedScorer', cls)
    return cls


def quality(**options):
    return {'type': 'calculate_quality', 'scorer': {'type': 'CountedScorer', **options}}


def test_scorer_is_built_once_for_each_section_and_device(counted):
    for section in (quality(), quality(range=[0, 1]), quality(lower=True)):
        for _ in range(3):
            calculate_metric(IMAGES, section)
    build_metric('m', quality() | {'type': 'calculate_worst_tile', 'tile_px': 8})(IMAGES)
    assert counted.count == 2
    calculate_metric(IMAGES, quality() | {'device': 'cpu:0'})
    assert counted.count == 3


def test_another_scorer_of_the_same_name_is_built_anew(counted, monkeypatch):
    first = load_scorer({'type': 'CountedScorer'})
    other = type('CountedScorer', (CountedScorer,), {})
    monkeypatch.setitem(SCORER_REGISTRY._obj_map, 'CountedScorer', other)
    assert type(first) is counted
    assert type(load_scorer({'type': 'CountedScorer'})) is other


@pytest.mark.usefixtures('counted')
def test_full_reference_scorer_gets_the_ground_truth_and_asks_for_it():
    section = quality(reference=True)
    expected = (OUTPUT.astype(float) - GT).mean() / 255
    assert calculate_metric(IMAGES, section) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(ValueError, match='counted: needs a reference'):
        calculate_metric({'img': OUTPUT}, section)


@pytest.mark.usefixtures('counted')
@pytest.mark.parametrize('kind', ['calculate_quality', 'calculate_worst_tile'])
def test_direction_and_images_are_those_of_the_scorer(kind):
    for lower in (False, True):
        for reference in (False, True):
            section = quality(lower=lower, reference=reference) | {'type': kind}
            metric = build_metric('m', section | ({'tile_px': 8} if 'tile' in kind else {}))
            assert metric.lower_better is lower
            assert metric.needs == (('img', 'img2') if reference else ('img',))
            assert np.isnan(metric({'img': OUTPUT, 'img2': []})) == reference
