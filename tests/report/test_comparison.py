import numpy as np
import pytest

from iqasr.analysis.means import mean_estimate
from iqasr.evaluation.result_folder import read_result_folders
from iqasr.report import compare_runs
from iqasr.report.comparison import describe_steps
from iqasr.runtime.errors import DataError


def test_known_shift_is_found_in_the_direction_of_the_metric(two_runs):
    (comparison,) = compare_runs(read_result_folders(two_runs))
    base, other = comparison.cells
    assert base[0].difference is None
    assert [cell.best for cell in base] == [False, True]
    assert [cell.best for cell in other] == [True, False]
    mean, low, high = other[0].difference
    assert mean == pytest.approx(5.5)
    assert 1 < low < 5.5 < high < 10
    assert other[1].difference == pytest.approx((0.5, 0.5, 0.5))
    assert [cell.verdict for cell in other] == ['better', 'worse']


def test_other_baseline_turns_the_differences_around(two_runs):
    (comparison,) = compare_runs(read_result_folders(two_runs), 'other')
    assert comparison.cells[0][0].difference[0] == pytest.approx(-5.5)
    assert comparison.cells[1][0].difference is None
    assert comparison.cells[0][0].verdict == 'worse'


def test_steps_are_described_as_far_as_their_intervals_exclude_0(make_results):
    after = {'psnr': [2.0, 1.0, 6.0], 'niqe': [6.0, 6.1, np.nan], 'ssim': [0.4, 0.5, 0.7]}
    folders = [
        make_results(
            'start', {'psnr': [1.0, 2.0, 3.0], 'niqe': [5.0, 5.0, 5.0], 'ssim': [0.2, 0.31, 0.5]}
        ),
        make_results('amo', after),
        make_results('same', after),
    ]
    (comparison,) = compare_runs(read_result_folders(folders))
    assert not mean_estimate(np.array([[1.0, -1.0, 3.0]])).excludes_zero
    assert describe_steps(comparison).splitlines() == [
        'amo, after start: better by SSIM (3 of 3 images); worse by NIQE (0 of 2 images); '
        'no clear difference by PSNR (2 of 3 images).',
        'same, after amo: the same.',
    ]


def test_a_single_image_shows_no_clear_difference(make_results):
    folders = [make_results('a', {'psnr': [20.0]}), make_results('b', {'psnr': [30.0]})]
    (comparison,) = compare_runs(read_result_folders(folders))
    expected = 'b, after a: no clear difference by PSNR (1 of 1 images).'
    assert describe_steps(comparison) == expected


def test_noise_alone_proves_nothing(make_results):
    noise = np.random.default_rng(0).normal(0, 1, 30)
    folders = [make_results('a', {'psnr': 20 + noise}), make_results('b', {'psnr': 20 - noise})]
    (comparison,) = compare_runs(read_result_folders(folders))
    assert comparison.cells[1][0].verdict == ''


def test_missing_values_and_metrics_are_left_out_of_means(make_results):
    folders = [
        make_results('a', {'psnr': [1.0, np.nan, 3.0]}),
        make_results('b', {'psnr': [2.0, 5.0, 2.0], 'detail': [1.0, 2.0, 3.0]}),
    ]
    (comparison,) = compare_runs(read_result_folders(folders))
    np.testing.assert_array_equal(comparison.means, [[2, np.nan], [3, 2]])
    assert comparison.cells[1][0].difference[0] == 0
    assert [cell.best for cell in comparison.cells[1]] == [True, False]


@pytest.mark.parametrize(
    ('second', 'message'),
    [
        ({'values': {'psnr': [1.0]}}, 'pieces has no image 01'),
        ({'values': {'psnr': [1.0, 2.0, 3.0]}}, 'pieces has image 02'),
        ({'values': {'psnr': [1.0, 2.0]}, 'dataset': 'b'}, 'no test set in common'),
        ({'values': {'psnr': [1.0, 2.0]}, 'better': {'psnr': 'lower'}}, 'better when lower'),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(make_results, second, message):
    values = second.pop('values')
    folders = [make_results('a', {'psnr': [1.0, 2.0]}), make_results('other', values, **second)]
    with pytest.raises(DataError, match=message) as refusal:
        compare_runs(read_result_folders(folders))
    assert 'other' in str(refusal.value)


def test_unknown_baseline_is_refused_with_the_nearest(two_runs):
    with pytest.raises(DataError, match="Did you mean 'other'"):
        compare_runs(read_result_folders(two_runs), 'othr')
