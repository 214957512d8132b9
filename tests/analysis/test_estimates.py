"""Estimates by hand, and against scipy on data that are resampled by copying."""

import numpy as np
import pytest
import scipy.stats

from iqasr.analysis.agreement import Comparisons, accuracy, complementarity, reliability_curves
from iqasr.analysis.bootstrap import SourceBootstrap
from iqasr.analysis.correlation import correlate_pairs, kendall, pearson, spearman
from iqasr.runtime.errors import DataError


def comparisons_of(difference, p_b=None, sources=None, weight=None):
    """Comparisons in which b always wins, unless said otherwise, by differences (n, M)."""
    difference = np.asarray(difference, dtype=float)
    count, scorers = difference.shape
    return Comparisons(
        tuple('ABCDEF'[:scorers]),
        np.array(sources if sources is not None else [f's{i}' for i in range(count)]),
        np.ones(count) if p_b is None else np.asarray(p_b, dtype=float),
        np.ones(count) if weight is None else np.asarray(weight, dtype=float),
        np.stack([np.zeros_like(difference), difference], 1),
    )


@pytest.fixture
def random_data():
    """300 pairs of 60 sources, with ties."""
    draw = np.random.default_rng(0)
    sources = np.sort(draw.integers(60, size=300))
    x = draw.integers(-8, 9, 300).astype(float)
    return sources, x, np.round(x + 6 * draw.standard_normal(300))


def test_accuracy_counts_a_tie_as_one_half():
    found = comparisons_of([[2.0], [-1.0], [0.0], [3.0]], p_b=[1, 1, 1, 0.2])
    assert accuracy(found, found.difference, SourceBootstrap(found.sources))[0] == 1.5 / 4


def test_image_without_score_is_a_tie():
    found = comparisons_of([[1.0], [np.nan]])
    assert accuracy(found, found.difference, SourceBootstrap(found.sources))[0] == 0.75


def test_accuracy_is_weighted():
    found = comparisons_of([[1.0], [-1.0]], weight=[1, 1 / 3])
    assert accuracy(found, found.difference, SourceBootstrap(found.sources))[0] == 0.75


def test_swapping_a_and_b_changes_nothing(random_data):
    sources, x, y = random_data
    columns = np.stack([x, y], 1)
    p_b = np.random.default_rng(1).uniform(0, 1, len(x))
    there = comparisons_of(columns, p_b, sources)
    back = Comparisons(
        there.names, there.sources, 1 - there.p_b, there.weight, there.quality[:, ::-1]
    )
    one, other = correlate_pairs(there, 50), correlate_pairs(back, 50)
    for kind in ('srocc', 'krocc', 'plcc'):
        np.testing.assert_allclose(one[kind], other[kind], atol=1e-12)
    boot = SourceBootstrap(sources, 50)
    same = accuracy(there, there.difference, boot) == accuracy(back, back.difference, boot)
    assert same.all()


def test_ties_among_people_and_small_margins_are_set_apart():
    found = comparisons_of(np.ones((5, 1)), p_b=[0.5, 0.6, 0.4, 0.9, 0.0])
    assert found.decided().p_b.tolist() == [0.6, 0.4, 0.9, 0.0]
    assert found.decided(0.1).p_b.tolist() == [0.6, 0.4, 0.9, 0.0]
    assert found.decided(0.3).p_b.tolist() == [0.9, 0.0]
    with pytest.raises(DataError, match='of 5 pairs only 1, of fewer than two sources'):
        found.decided(0.45)


def test_sums_are_those_of_copied_rows(random_data):
    sources, x, y = random_data
    bootstrap = SourceBootstrap(sources, 20)
    assert (bootstrap.counts.sum(1) == 60).all()
    sums = bootstrap.sums(np.stack([x, y], 1))
    for row, total in zip(bootstrap.counts, sums, strict=True):
        copies = np.repeat(np.arange(300), row[bootstrap.source])
        np.testing.assert_allclose(total, [x[copies].sum(), y[copies].sum()])


def test_sums_do_not_depend_on_the_memory_taken(random_data, monkeypatch):
    bootstrap = SourceBootstrap(random_data[0], 20)
    sums, ranks = bootstrap.sums(random_data[1]), spearman(*random_data[1:], bootstrap)
    monkeypatch.setattr('iqasr.analysis.bootstrap.CHUNK_VALUES', 700)
    np.testing.assert_allclose(bootstrap.sums(random_data[1]), sums, rtol=1e-12)
    np.testing.assert_allclose(spearman(*random_data[1:], bootstrap), ranks, rtol=1e-12)


@pytest.mark.parametrize(
    ('ours', 'theirs'),
    [
        (spearman, scipy.stats.spearmanr),
        (kendall, scipy.stats.kendalltau),
        (pearson, scipy.stats.pearsonr),
    ],
)
def test_correlation_is_that_of_scipy_on_copied_rows(random_data, ours, theirs):
    sources, x, y = random_data
    shuffled = np.random.default_rng(3).permutation(300)
    sources, x, y = sources[shuffled], x[shuffled], y[shuffled]
    bootstrap = SourceBootstrap(sources, 20)
    found = ours(x, y, bootstrap)
    for row, value in zip(bootstrap.counts, found, strict=True):
        copies = np.repeat(np.arange(300), row[bootstrap.source])
        assert value == pytest.approx(theirs(x[copies], y[copies]).statistic, abs=1e-9)


def test_many_sources_change_neither_the_value_nor_the_width_of_kendalls(random_data, monkeypatch):
    sources, x, y = random_data
    bootstrap = SourceBootstrap(sources, 400)
    exact = bootstrap.estimate(kendall(x, y, bootstrap))
    monkeypatch.setattr('iqasr.analysis.correlation.KENDALL_SOURCES', 20)
    found = bootstrap.estimate(kendall(x, y, bootstrap))
    assert found.value == pytest.approx(scipy.stats.kendalltau(x, y).statistic, abs=1e-12)
    assert found.low < found.value < found.high
    assert found.high - found.low == pytest.approx(exact.high - exact.low, rel=0.35)


def test_shares_without_degrees_are_not_correlated_with():
    assert correlate_pairs(comparisons_of(np.ones((3, 1)), p_b=[0, 0.5, 1]), 10) == {}


def test_complementarity_by_hand():
    # A errs in pairs 0 and 1, B in 1 and 2, and C tosses a coin in 0 (of five pairs).
    found = comparisons_of([[-1, 1, 0], [-1, -1, 1], [1, -1, 1], [1, 1, 1], [1, 1, 1]])
    tables = complementarity(found, SourceBootstrap(found.sources))
    values = {name: [[c.value for c in row] for row in table] for name, table in tables.items()}
    assert values['accuracy_where_wrong'][0][1] == pytest.approx(1 / 2)
    assert values['accuracy_where_wrong'][0][2] == pytest.approx(3 / 4)
    assert values['accuracy_where_wrong'][2][0] == pytest.approx(0)
    assert values['oracle'][0][1] == pytest.approx(4 / 5)
    assert values['jaccard'][0][1] == pytest.approx(1 / 3)
    assert values['phi'][0][1] == pytest.approx((5 * 1 - 2 * 2) / (2 * 3))
    assert values['kappa'][0][1] == pytest.approx((3 / 5 - 13 / 25) / (12 / 25))
    assert np.isnan(values['oracle'][0][0])


def test_scorer_without_errors_has_no_accuracy_where_wrong():
    found = comparisons_of([[1, -1], [1, 1]])
    table = complementarity(found, SourceBootstrap(found.sources))['accuracy_where_wrong']
    assert str(table[0][1]) == '-'
    assert table[1][0].value == 1


def test_reliability_sorts_pairs_by_how_clear_they_are():
    difference = np.arange(1.0, 61)[:, None] * np.where(np.arange(60) < 20, -1, 1)[:, None]
    found = comparisons_of(difference)
    boot = SourceBootstrap(found.sources)
    (curve,) = reliability_curves(found, np.abs(found.difference), boot)
    assert [round(a.value, 2) for a in curve.accuracy] == [0, 0, 1, 1, 1, 1]
    assert curve.clearness == [5.5, 15.5, 25.5, 35.5, 45.5, 55.5]


def test_reliability_has_no_empty_bins():
    found = comparisons_of(np.ones((30, 1)), p_b=[0.6] * 25 + [1.0] * 5)
    (curve,) = reliability_curves(found, np.abs(found.p_b - 0.5), SourceBootstrap(found.sources))
    assert len(curve.accuracy) == 2
    assert curve.clearness == pytest.approx([0.1, 0.5])


def test_interval_widens_when_pairs_come_from_fewer_sources():
    draw = np.random.default_rng(0)
    by_source = np.repeat(draw.standard_normal(30) + 0.5, 10)[:, None]
    many = comparisons_of(by_source)
    few = comparisons_of(by_source, sources=np.repeat(np.arange(30), 10))
    widths = []
    for found in (many, few):
        scores = accuracy(found, found.difference, SourceBootstrap(found.sources))[1:]
        widths.append(scores.std())
    assert widths[1] == pytest.approx(widths[0] * np.sqrt(10), rel=0.1)


def test_interval_of_few_sources_is_as_wide_as_that_of_students_t():
    values = scipy.stats.norm.ppf((np.arange(6) + 0.5) / 6)[:, None]
    found = comparisons_of(values)
    bootstrap = SourceBootstrap(found.sources, resamples=20_000)
    mean = bootstrap.estimate(bootstrap.sums(values)[:, 0] / 6)
    t = scipy.stats.t.ppf(0.975, 5) * values.std(ddof=1) / np.sqrt(6)
    assert (mean.high - mean.low) / 2 == pytest.approx(t, rel=0.05)
