import logging

import numpy as np
import pytest
import torch
from basicsr.metrics import calculate_niqe
from skimage.metrics import peak_signal_noise_ratio

from iqasr.evaluation.evaluate import Result, evaluate, image_of, side_by_side
from iqasr.evaluation.history import update_best
from iqasr.metrics import Metric, build_metric, has_no_direction, needs_base, register_metric
from iqasr.quality import NIQEScorer
from iqasr.registry import METRIC_REGISTRY
from iqasr.runtime.distributed import Process


@pytest.fixture
def images(photographs):
    generator = np.random.default_rng(0)
    gt = np.ascontiguousarray(photographs[0][..., ::-1])
    noise = generator.normal(0, 8, gt.shape)
    return (gt + noise).clip(0, 255).astype(np.uint8), gt


def test_psnr_is_that_of_scikit_image(images):
    metric = build_metric('psnr', {'type': 'calculate_psnr', 'crop_border': 4})
    output, gt = (image[4:-4, 4:-4] for image in images)
    given = dict(zip(('img', 'img2'), images, strict=True))
    assert metric(given) == pytest.approx(peak_signal_noise_ratio(gt, output), abs=1e-9)
    assert (metric.lower_better, metric.better, metric.arrow) == (False, 'higher', '↑')
    assert metric.needs == ('img', 'img2')


def test_scorer_as_metric_is_in_published_units(photographs):
    import skimage.data

    image = np.ascontiguousarray(skimage.data.astronaut()[100:300, 100:320, ::-1])
    section = {'type': 'QualityMetric', 'scorer': {'type': 'NIQEScorer'}, 'crop_border': 4}
    metric = build_metric('niqe', section)
    published = metric({'img': image, 'img2': None})
    assert published == pytest.approx(calculate_niqe(image, crop_border=4), abs=1e-4)
    assert (metric.better, metric.needs) == ('lower', ('img',))
    tensor = torch.from_numpy(image[4:-4, 4:-4, ::-1].copy()).permute(2, 0, 1)[None] / 255
    assert NIQEScorer()(tensor).item() == pytest.approx(-published, abs=1e-4)


def test_niqe_of_basicsr_is_better_when_lower_without_being_told():
    assert build_metric('n', {'type': 'calculate_niqe', 'crop_border': 0}).better == 'lower'


def register(monkeypatch, function):
    monkeypatch.setitem(METRIC_REGISTRY._obj_map, function.__name__, function)


def calculate_error(img, img2, power=1):
    return float((np.abs(img.astype(float) - img2) ** power).mean())


def test_metric_of_others_without_direction_has_none_and_one_warning(monkeypatch, caplog, images):
    register(monkeypatch, calculate_error)
    section = {'type': 'calculate_error', 'power': 2}
    with caplog.at_level(logging.WARNING, 'iqasr'):
        metric = build_metric('error', section)
        for _ in range(3):
            assert metric(dict(zip(('img', 'img2'), images, strict=True))) > 0
    (record,) = caplog.records
    assert 'val.metrics.error: calculate_error does not say' in record.message
    assert '`better: higher`' in record.message
    assert (metric.lower_better, metric.better, metric.arrow) == (None, None, '')
    assert has_no_direction(section)


@pytest.mark.parametrize(('better', 'lower_better'), [('lower', True), ('higher', False)])
def test_section_gives_or_overrides_the_direction(monkeypatch, caplog, better, lower_better):
    register(monkeypatch, calculate_error)
    for name in ('calculate_error', 'calculate_psnr', 'calculate_high_frequency'):
        section = {'type': name, 'better': better}
        assert build_metric('m', section).lower_better is lower_better
        assert not has_no_direction(section)
    assert caplog.records == []


@pytest.mark.parametrize('lower_better', [True, False, None])
def test_attribute_of_the_function_is_the_direction(monkeypatch, caplog, lower_better):
    def calculate_something(img):
        return 0.0

    calculate_something.lower_better = lower_better
    register(monkeypatch, calculate_something)
    section = {'type': 'calculate_something'}
    assert build_metric('m', section).lower_better is lower_better
    assert has_no_direction(section) == (lower_better is None)
    assert caplog.records == []


@pytest.mark.parametrize('name', ['calculate_psnr_pt', 'calculate_ssim_pt'])
def test_direction_of_the_functions_of_tensors_is_known(name, caplog):
    assert build_metric('m', {'type': name, 'crop_border': 0}).lower_better is False
    assert caplog.records == []


def test_images_with_a_default_are_passed_where_they_are_there(monkeypatch, images):
    def calculate_count(img, img2=None, lq=None, base=None):
        return float(sum(image is not None for image in (img, img2, lq, base)))

    register(monkeypatch, calculate_count)
    metric = build_metric('m', {'type': 'calculate_count', 'better': 'higher'})
    assert (metric.needs, metric.optional) == (('img',), ('img2', 'lq', 'base'))
    output, gt = images
    assert metric({'img': output, 'img2': [], 'lq': None}) == 1
    assert metric({'img': output, 'img2': [gt, gt], 'lq': output}) == 3
    assert not needs_base({'type': 'calculate_count'})


def test_metric_that_ignores_the_ground_truths_runs_once_for_all_of_them(monkeypatch, images):
    calls = []

    @register_metric(lower_better=True)
    def calculate_calls(img, lq):
        calls.append(lq)
        return 1.0

    try:
        metric = build_metric('m', {'type': 'calculate_calls'})
    finally:
        del METRIC_REGISTRY._obj_map['calculate_calls']
    output, gt = images
    assert metric({'img': output, 'img2': [gt, gt], 'lq': gt}) == 1
    assert len(calls) == 1
    assert np.isnan(metric({'img': output, 'img2': [gt, gt]}))


@pytest.mark.parametrize('options', [{}, {'suffix': 'iqasr'}])
def test_base_is_needed_by_the_metric_that_the_name_stands_for(monkeypatch, options):
    def calculate_drift(img, base):
        return 0.0

    assert not needs_base({'type': 'calculate_drift'})
    register(monkeypatch, calculate_error)
    name = '_'.join(['calculate_error', *options.values()])
    monkeypatch.setitem(METRIC_REGISTRY._obj_map, name, calculate_drift)
    assert needs_base({'type': 'calculate_error'})
    assert needs_base({'type': 'calculate_base_distance'})
    assert not needs_base({'type': 'calculate_lr_psnr'})
    assert not needs_base({'type': ['no', 'name']})
    assert not needs_base({})


def test_metric_without_ground_truth_is_absent(images):
    metric = build_metric('psnr', {'type': 'calculate_psnr', 'crop_border': 0})
    assert np.isnan(metric({'img': images[0], 'img2': None}))


def test_image_round_trip_is_exact(photographs):
    bgr = np.ascontiguousarray(photographs[0][..., ::-1])
    tensor = torch.from_numpy(photographs[0].copy()).permute(2, 0, 1).float() / 255
    assert np.array_equal(image_of(tensor), bgr)


class Pieces(torch.utils.data.Dataset):
    def __init__(self, count, with_gt=True):
        self.count, self.with_gt = count, with_gt

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        lq = torch.full((3, 4, 4), index / 10)
        item = {'lq': lq, 'lq_path': f'/x/{index:02d}.png'}
        return item | ({'gt': torch.full((3, 8, 8), 0.5)} if self.with_gt else {})


def double(lq):
    return lq.repeat_interleave(2, -1).repeat_interleave(2, -2)


BRIGHTNESS = Metric('mean', lambda img: img.mean(), lower_better=False)


@pytest.mark.parametrize('threads', [1, 3])
def test_every_image_is_measured_in_order(threads):
    result = evaluate(double, Pieces(5), [BRIGHTNESS], name='p', process=Process(), threads=threads)
    assert [row['name'] for row in result.rows] == ['00', '01', '02', '03', '04']
    assert result.means()['mean'] == pytest.approx(np.round(np.arange(5) * 25.5).mean(), abs=0.3)


def test_wrong_scale_is_named():
    with pytest.raises(ValueError, match='check `scale`'):
        evaluate(lambda lq: lq, Pieces(1), [], name='p', process=Process())


def test_means_leave_out_what_has_no_value(tmp_path):
    rows = [{'name': 'a', 'm': 1.0}, {'name': 'b', 'm': float('nan')}, {'name': 'c', 'm': 3.0}]
    result = Result('set', rows)
    assert result.means() == {'m': 2.0}
    result.write_csv(tmp_path / 'x.csv')
    assert (tmp_path / 'x.csv').read_text() == 'name,m\na,1.0\nb,nan\nc,3.0\n'


@pytest.mark.parametrize(('lower_better', 'kept'), [(False, (3.0, 2)), (True, (1.0, 1))])
def test_best_follows_the_direction_of_the_metric(lower_better, kept):
    records, metric = {}, Metric('m', float, lower_better)
    for iteration, value in enumerate([1.0, 3.0, float('nan'), 2.0], 1):
        update_best(records, Result('set', [{'name': 'a', 'm': value}]), [metric], iteration)
    record = records['set/m'][-1]
    assert (record['value'], record['iteration']) == kept


def test_metric_without_direction_has_no_best():
    records, metric = {}, Metric('m', float, lower_better=None)
    line = update_best(records, Result('set', [{'name': 'a', 'm': 1.0}]), [metric], 1)
    assert (records, line) == ({}, 'set @ 1: m 1.0000')


def test_metric_gets_the_images_it_names():
    def seen(**images):
        assert list(images) == ['lq', 'base']
        return (images['base'].astype(float) - images['lq'].mean()).mean()

    metric = Metric('m', seen, True, ('lq', 'base'))
    common = {'name': 'p', 'process': Process()}
    result = evaluate(double, Pieces(2), [metric], base=lambda lq: double(lq) + 0.2, **common)
    assert [row['m'] for row in result.rows] == pytest.approx([51, 51], abs=1)
    result = evaluate(double, Pieces(1), [metric], **common)
    assert np.isnan(result.rows[0]['m'])


def test_base_is_asked_only_if_a_metric_needs_it():
    evaluate(double, Pieces(1), [BRIGHTNESS], name='p', process=Process(), base=pytest.fail)


def test_pictures_stand_side_by_side():
    lq, output = np.zeros((2, 2, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    joined = side_by_side(lq, output, None)
    assert joined.shape == (3, 4, 8)
    assert joined[:, :, :4].max() == 0
    assert joined[:, :, 4:].min() == 1
