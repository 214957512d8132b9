"""Several data sets: accuracy side by side, and its mean."""

import csv

import numpy as np
import pytest

from iqasr.analysis.analysis import analyse_panel
from iqasr.analysis.data_sets import (
    MEAN,
    analyse_data_sets,
    name_data_sets,
    summarise_accuracies,
)
from iqasr.analysis.given_scores import find_score_columns
from iqasr.analysis.pairs import ImagePair
from iqasr.analysis.panel import PanelScorer
from iqasr.runtime.errors import DataError


def analysis_of(right, names='xy'):
    """The first scorer is right in these pairs, each of a source; others are in every pair."""
    pairs = [ImagePair(f'{i}a', f'{i}b', 1.0, f's{i}') for i in range(len(right))]
    quality = {
        f'{i}{side}': (side == 'b') * (1 if r else -1) for i, r in enumerate(right) for side in 'ab'
    }
    perfect = {path: float(path[-1] == 'b') for path in quality}
    panel = [
        PanelScorer(name, {}, False, False, quality if name == 'x' else perfect) for name in names
    ]
    return analyse_panel(pairs, panel, resamples=400)


def test_mean_is_that_of_the_data_sets_and_its_interval_is_narrower():
    draw = np.random.default_rng(0)
    sets = {name: analysis_of(draw.uniform(size=40) < 0.7) for name in 'abcd'}
    table = summarise_accuracies(sets, 400)
    each = [table['x'][name] for name in sets]
    assert [found.value for found in each] == [
        analysis.agreement['accuracy'][0].value for analysis in sets.values()
    ]
    mean = table['x'][MEAN]
    assert mean.value == pytest.approx(np.mean([found.value for found in each]))
    # Four independent sets of 40 sources: half the width of one.
    width = np.mean([found.high - found.low for found in each])
    assert (mean.high - mean.low) / width == pytest.approx(0.5, abs=0.08)
    assert table['y'][MEAN] == (1, 1, 1)


def test_scorer_that_one_set_is_without_has_no_mean():
    table = summarise_accuracies({'a': analysis_of([1, 0] * 5), 'b': analysis_of([1, 1], 'y')}, 50)
    assert table['x']['a'].value == 0.5
    assert np.isnan([table['x']['b'].value, table['x'][MEAN].value]).all()
    assert table['y'][MEAN].value == 1


def test_names_are_as_short_as_they_differ():
    assert name_data_sets(['a/pairs.csv', 'votes.csv']) == ['pairs', 'votes']
    assert name_data_sets(['a/pairs.csv', 'b/pairs.csv']) == ['a-pairs', 'b-pairs']
    with pytest.raises(DataError, match='two of these are called alike'):
        name_data_sets(['pairs.csv', './pairs.csv'])


def test_files_of_scores_and_of_choices_are_summarised(tmp_path):
    (tmp_path / 'mos.csv').write_text(
        'path,source_id,mos,musiq,mine\n1a,1,1,30,1\n1b,1,2,40,1\n2a,2,5,60,2\n2b,2,4,50,1\n'
    )
    (tmp_path / 'best.csv').write_text(
        'path,source_id,votes,musiq\n1a,1,5,30\n1b,1,0,40\n2a,2,5,60\n2b,2,0,50\n'
    )
    sources = {name: str(tmp_path / f'{name}.csv') for name in ('mos', 'best')}
    columns = find_score_columns(['musiq'], [], ['mine'])
    report, failures = analyse_data_sets(
        sources, [], str(tmp_path / 'out'), given=columns, resamples=50
    )
    assert failures == {}
    assert (tmp_path / 'out/best/report.md').is_file()
    summary = (tmp_path / 'out/summary.md').read_text()
    assert report.endswith(summary)
    assert f'| scorer | mos | best | {MEAN} |\n' in summary
    musiq, mine = csv.DictReader((tmp_path / 'out/summary.csv').open())
    assert [float(musiq[name]) for name in ('mos', 'best', MEAN)] == [1, 0.5, 0.75]
    assert [mine[name] for name in ('mos', 'best', MEAN)] == ['0.75', '', '']


def test_analysis_without_a_metric_is_refused(tmp_path):
    with pytest.raises(DataError, match='there is no metric'):
        analyse_data_sets({'x': 'x.csv'}, [], str(tmp_path))
