"""The guard against score gaming: what it computes, when it alarms, what it remembers."""

import json

import numpy as np
import pytest

from iqasr.evaluation.guard import Guard, change_of
from iqasr.metrics import Metric
from iqasr.options.sections import GuardOptions
from iqasr.runtime.errors import OptionError

RANKER = Metric('ranker', float, lower_better=False)
METRICS = [
    RANKER,
    Metric('niqe', float, lower_better=True),
    Metric('psnr', float, lower_better=False),
    Metric('ssim', float, lower_better=False),
]
START = {
    'ranker': [0.2, 0.4, 0.6, 0.8],
    'niqe': [4.0, 5.0, 6.0, 7.0],
    'psnr': [20.0, 24.0, 28.0, 32.0],
    'ssim': [0.7, 0.75, 0.8, 0.85],
}


def rows(**gains):
    """Four images at the start, improved by so much each; two of them slightly more."""
    sign = {'niqe': -1}
    wiggle = np.array([0.9, 1.0, 1.0, 1.1])
    columns = {
        name: np.array(values) + sign.get(name, 1) * gains.get(name, 0.0) * wiggle
        for name, values in START.items()
    }
    return [{'name': f's/{i}'} | {k: v[i] for k, v in columns.items()} for i in range(4)]


def guard_of(**options):
    section = {'optimised': 'ranker', 'held_out': ['niqe', 'psnr', 'ssim']} | options
    guard = Guard(GuardOptions(**section), METRICS)
    guard.update(rows(), 0)
    return guard


GAMED = {'ranker': 0.2, 'niqe': -1.0, 'psnr': -2.0}
HONEST = {'ranker': 0.2, 'niqe': 1.0, 'psnr': 1.0, 'ssim': 0.01}


def test_change_is_the_paired_difference_and_its_standard_error():
    start, now = {'a': 1.0, 'b': 5.0, 'c': 9.0}, {'a': 2.0, 'b': 7.0, 'd': 100.0}
    change = change_of(RANKER, start, now)
    assert (change.start, change.now, change.gain) == (3.0, 4.5, 1.5)
    assert change.error == pytest.approx(0.5)  # differences 1 and 2: 0.7071 / sqrt(2)
    assert change.errors == pytest.approx(3.0)
    lower = change_of(Metric('m', float, lower_better=True), start, now)
    assert (lower.gain, lower.errors) == (-1.5, pytest.approx(-3.0))


def test_change_of_all_images_by_the_same_is_beyond_any_tolerance():
    start = {'a': 1.0, 'b': 5.0}
    assert change_of(RANKER, start, {'a': 2.0, 'b': 6.0}).errors == np.inf
    assert change_of(RANKER, start, {'a': 0.0, 'b': 4.0}).errors == -np.inf
    assert change_of(RANKER, start, start).errors == 0
    assert change_of(RANKER, start, {'a': 2.0}) is None


def test_index_is_the_mean_gain_in_standard_deviations_of_the_start():
    guard = guard_of()
    guard.update(rows(niqe=1.0, psnr=-2.0, ssim=0.03), 3)
    spreads = [np.std(START[name], ddof=1) for name in ('niqe', 'psnr', 'ssim')]
    expected = np.mean([1.0 / spreads[0], -2.0 / spreads[1], 0.03 / spreads[2]])
    assert guard.history[-1]['index'] == pytest.approx(expected, abs=1e-12)
    assert guard.history[0]['index'] == 0


@pytest.mark.parametrize(
    ('gains', 'alarm'),
    [
        (GAMED, True),
        (HONEST, False),
        (GAMED | {'ranker': 0.0}, False),
        (GAMED | {'niqe': 0.0}, False),  # one of three held-out metrics is no majority
        ({'ranker': -0.2, 'niqe': -1.0, 'psnr': -2.0, 'ssim': -0.1}, False),  # all fall: no gaming
    ],
)
def test_alarm_is_for_the_optimised_rising_while_held_out_fall(gains, alarm):
    guard = guard_of()
    text = guard.update(rows(**gains), 3)
    assert guard.history[-1]['alarm'] is alarm
    assert ('ALARM' in text) is alarm


def test_alarm_shows_every_figure_and_what_to_do():
    guard = guard_of(patience=3)
    guard.update(rows(**HONEST), 3)
    text = guard.update(rows(**GAMED), 6)
    assert 'Guard @ 6: ALARM 1 of 3: ranker has become better, 2 of 3 held-out metrics' in text
    assert 'ranker↑ 0.5000 -> 0.7000 (+24.5)' in text  # 0.2 / (0.2 * 0.0816 / 2)
    assert 'niqe↓ 5.5000 -> 6.5000 (-24.5)' in text
    assert 'psnr↑ 26.0000 -> 24.0000 (-24.5)' in text
    assert 'ssim↑ 0.7750 -> 0.7750 (+0.0)' in text
    assert 'Lower loss_weight or gradient_ratio' in text
    assert 'models/net_g_best.pth is of 3' in text


def test_noise_below_the_tolerance_is_no_alarm():
    generator = np.random.default_rng(0)
    guard = guard_of()
    for iteration in range(1, 40):
        noisy = [
            {k: v if k == 'name' else v + generator.normal(0, 0.1) for k, v in row.items()}
            for row in rows()
        ]
        guard.update(noisy, iteration)
    assert sum(record['alarm'] for record in guard.history) <= 1


def test_tolerance_decides_what_counts():
    for tolerance, alarm in ((24.0, True), (25.0, False)):
        guard = guard_of(tolerance=tolerance)
        guard.update(rows(**GAMED), 3)
        assert guard.history[-1]['alarm'] is alarm


def test_number_of_fallen_metrics_that_alarm_is_an_option():
    for alarm, expected in ((1, True), (2, True), (3, False)):
        guard = guard_of(alarm=alarm)
        guard.update(rows(**GAMED), 3)
        assert guard.history[-1]['alarm'] is expected


def test_patience_counts_alarms_in_a_row():
    guard = guard_of(patience=2)
    seen = []
    for iteration, gains in enumerate([GAMED, HONEST, GAMED, GAMED], 1):
        guard.update(rows(**gains), iteration)
        seen.append((guard.alarms, guard.stopped))
    assert seen == [(1, False), (0, False), (1, False), (2, True)]
    assert not guard_of().stopped


def test_best_is_the_highest_index_after_the_start():
    guard = guard_of()
    assert guard.best is None
    text = guard.update(rows(**GAMED), 1)
    assert guard.best['iteration'] == 1
    assert 'not better than the start' in text
    for iteration, gain in ((2, 1.0), (3, 0.5), (4, 1.0)):
        text = guard.update(rows(niqe=gain), iteration)
    assert guard.best['iteration'] == 2
    assert 'not better than the start' not in text


def test_validation_without_a_value_is_never_best_and_counts_for_nothing():
    guard = guard_of()
    found = rows(**GAMED)
    for row in found:
        row['niqe'] = float('nan')
    text = guard.update(found, 1)
    assert (guard.best, guard.history[-1]['fallen']) == (None, ['psnr'])
    assert 'niqe↓ has no value' in text


def test_memory_is_cut_back_to_where_a_run_resumes(tmp_path):
    guard, path = guard_of(patience=2), tmp_path / 'guard.json'
    for iteration, gains in enumerate([HONEST, GAMED, GAMED], 1):
        guard.update(rows(**gains), iteration)
    guard.write(path)
    whole = path.read_text()
    resumed = Guard(guard.options, METRICS)
    resumed.read(path, until=1)
    assert (resumed.iteration, resumed.alarms, resumed.best['iteration']) == (1, 0, 1)
    resumed.update(rows(**GAMED), 2)
    resumed.update(rows(**GAMED), 3)
    resumed.update(rows(**GAMED), 3)  # again, as after a kill
    resumed.write(path)
    assert path.read_text() == whole
    assert json.loads(whole)['best']['iteration'] == 1


def test_first_validation_that_is_repeated_is_the_start():
    guard = guard_of()
    start = guard.start
    guard.update(rows(**HONEST), 0)
    assert guard.start != start
    assert [record['index'] for record in guard.history] == [0]


def test_metric_that_was_not_watched_makes_a_new_start(tmp_path):
    guard, path = guard_of(held_out=['psnr']), tmp_path / 'guard.json'
    guard.write(path)
    other = Guard(GuardOptions(optimised='ranker', held_out=['psnr', 'niqe']), METRICS)
    other.read(path, until=5)
    assert (other.start, other.iteration) == ({}, -1)


@pytest.mark.parametrize('values', [[5.0] * 4, [5.0, *[float('nan')] * 3]])
def test_start_that_tells_nothing_is_refused(values):
    found = [row | {'niqe': value} for row, value in zip(rows(), values, strict=True)]
    guard = Guard(GuardOptions(optimised='ranker', held_out=['niqe']), METRICS)
    with pytest.raises(OptionError, match=r'val\.guard: niqe must have different values'):
        guard.update(found, 0)
