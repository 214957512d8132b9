"""Mean opinion scores: coefficients, intervals, and what is refused."""

import csv

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import kendalltau, spearmanr

from iqasr.analysis.analysis import analyse_metrics
from iqasr.analysis.opinion_correlation import correlate_opinions, map_to_opinions
from iqasr.analysis.opinions import Opinion, read_opinions
from iqasr.analysis.panel import PanelScorer
from iqasr.analysis.report import PLCC_NOTE
from iqasr.runtime.errors import DataError


def judged(quality, mos, sources=None):
    names = [str(number) for number in range(len(mos))]
    sources = names if sources is None else sources
    opinions = [Opinion(*of) for of in zip(names, mos, sources, strict=True)]
    return opinions, PanelScorer('x', {}, True, False, dict(zip(names, quality, strict=True)))


def test_coefficients_are_those_of_scipy_and_do_not_see_images_without_a_score():
    draw = np.random.default_rng(0)
    mos, noise = draw.integers(1, 6, 40).astype(float), draw.normal(0, 1, 40)
    quality = np.round(mos + noise, 1)
    quality[[3, 7]] = np.nan
    found = correlate_opinions(*judged(quality, mos), resamples=20)
    scored = np.isfinite(quality)
    assert found['images'] == 38
    for kind, function in (('srocc', spearmanr), ('krocc', kendalltau)):
        expected = function(quality[scored], mos[scored]).statistic
        assert found[kind].value == pytest.approx(expected, abs=1e-12)


def test_plcc_is_1_where_opinions_are_a_logistic_curve_of_the_score():
    quality = np.linspace(-3, 40, 50)
    found = correlate_opinions(*judged(quality, 1 + 4 * expit((quality - 10) / 3)), resamples=20)
    assert found['plcc'].value == pytest.approx(1, abs=1e-6)
    assert np.corrcoef(quality, 1 + 4 * expit((quality - 10) / 3))[0, 1] < 0.95


def test_plcc_of_a_scorer_that_people_contradict_is_0():
    draw = np.random.default_rng(0)
    mos = draw.normal(size=200)
    found = correlate_opinions(*judged(-mos + 0.5 * draw.normal(size=200), mos), resamples=20)
    assert found['srocc'].value < -0.8
    assert found['plcc'] == (0, 0, 0)


def test_curve_of_opinions_never_falls_with_quality():
    draw = np.random.default_rng(3)
    for slope in (-1, -0.2, 0, 0.2, 1):
        quality, noise = draw.normal(size=(2, 60))
        mapped = map_to_opinions(quality, slope * quality + noise)
        assert (np.diff(mapped[np.argsort(quality)]) >= -1e-9).all()


def test_intervals_hold_the_truth_as_often_as_they_should():
    draw, rho, inside = np.random.default_rng(1), 0.7, 0
    truth = 6 / np.pi * np.arcsin(rho / 2)
    for _ in range(200):
        mos, other = draw.normal(size=(2, 60))
        quality = rho * mos + np.sqrt(1 - rho**2) * other
        low, high = correlate_opinions(*judged(quality, mos), resamples=200)['srocc'][1:]
        inside += low <= truth <= high
    assert 0.91 <= inside / 200 <= 0.99


def test_images_of_one_source_count_as_one_in_the_interval():
    draw = np.random.default_rng(2)
    mos = np.repeat(draw.normal(size=15), 6)
    quality = mos + np.repeat(draw.normal(size=15), 6)
    apart = correlate_opinions(*judged(quality, mos), resamples=200)['srocc']
    sources = np.repeat(np.arange(15), 6).astype(str)
    together = correlate_opinions(*judged(quality, mos, sources), resamples=200)['srocc']
    assert apart.value == together.value
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


@pytest.mark.parametrize('quality', [[1.0] * 5, [np.nan] * 5])
def test_scorer_that_tells_nothing_apart_has_no_coefficient(quality):
    found = correlate_opinions(*judged(quality, [1, 2, 3, 4, 5]), resamples=20)
    assert np.isnan([found['srocc'].value, found['plcc'].value]).all()


@pytest.fixture
def opinions_csv(pairs_csv, tmp_path):
    """Opinions of the images of `pairs_csv`: the brighter, the better."""
    lines = [f'images/{n}_{step}.png,{20 * n + 5 * step}' for n in range(12) for step in range(3)]
    path = tmp_path / 'mos.csv'
    path.write_text('\n'.join(['path,mos', *lines]))
    return path


def test_analysis_of_opinions_shows_who_agrees(opinions_csv, scorers, tmp_path):
    words, out = ['flatness', 'brightness'], tmp_path / 'out'
    report, _, failures = analyse_metrics(str(opinions_csv), words, str(out), resamples=50)
    assert failures == {}
    assert (out / 'report.md').read_text() == report
    assert report.startswith('Mean opinion scores of 36 images from 36 sources.')
    assert PLCC_NOTE in report
    assert report.index('| brightness | 1.000 [1.000, 1.000]') < report.index('| flatness')
    rows = {row['scorer']: row for row in csv.DictReader((out / 'agreement.csv').open())}
    assert float(rows['brightness']['krocc']) == 1


def test_everything_wrong_with_a_line_is_named(opinions_csv):
    opinions_csv.write_text('path,mos,source_id\nnowhere.png,3,s\nimages/0_0.png,good,s\n')
    with pytest.raises(DataError) as caught:
        read_opinions(str(opinions_csv))
    text = str(caught.value)
    assert f'line 2: {opinions_csv.parent}/nowhere.png: there is no such file' in text
    assert "line 3: mos is 'good'; give a number." in text
    assert 'all images are of one source' in text
