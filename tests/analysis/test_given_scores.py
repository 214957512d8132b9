"""Scores in a CSV file: direction, agreement by hand, and what is refused."""

import csv
import json

import pytest
import yaml

from iqasr.analysis.analysis import analyse_metrics
from iqasr.analysis.given_scores import (
    ScoreColumn,
    find_score_columns,
    read_given_scores,
    refuse_unknown_columns,
)
from iqasr.analysis.report import PLCC_NOTE
from iqasr.runtime.errors import DataError, OptionError

ITEMS = """\
path,source_id,method,mos,musiq,LPIPS
1/x,1,x,3,50,0.1
1/y,1,y,2,40,0.3
1/z,1,z,1,45,0.2
2/x,2,x,1,30,0.4
2/y,2,y,2,20,0.2
2/z,2,z,2,25,0.3
"""
"""MUSIQ is right in 2 of 3 and 0 of 2 pairs, LPIPS in 2 of 3 and 2 of 2; one pair is a tie."""


@pytest.fixture
def items(tmp_path):
    path = tmp_path / 'items.csv'
    path.write_text(ITEMS)
    return path


@pytest.fixture
def pairs(tmp_path):
    """The first source of `ITEMS` twice, as pairs."""
    head = 'path_a,path_b,p_b,source_id,musiq_a,musiq_b\n'
    lines = [
        f'{s}x,{s}y,0.1,{s},50,40\n{s}x,{s}z,0,{s},50,45\n{s}y,{s}z,0.2,{s},40,45' for s in 'pq'
    ]
    path = tmp_path / 'pairs.csv'
    path.write_text(head + '\n'.join(lines))
    return path


def agreement_in(folder):
    rows = csv.DictReader((folder / 'agreement.csv').open())
    return {row['scorer']: row for row in rows}


def test_direction_is_that_of_the_scorer_of_that_name():
    musiq, lpips, mine, other = find_score_columns(['musiq', 'LPIPS'], ['mine'], ['other'])
    section = {'type': 'PyIQAScorer', 'metric': 'musiq'}
    assert musiq == ScoreColumn('musiq', lower_better=False, section=section, differentiable=True)
    assert lpips == ScoreColumn('LPIPS', lower_better=True)
    assert (mine.lower_better, other.lower_better) == (True, False)
    assert find_score_columns([], ['LPIPS']) == [lpips]


def test_direction_is_never_guessed():
    with pytest.raises(OptionError) as caught:
        find_score_columns(['mine', 'musiq'], ['musiq', 'own'], ['own'])
    mine, musiq, own = str(caught.value).splitlines()[1:]
    assert mine.startswith('mine: no scorer is known by that name')
    assert '--lower_better or --higher_better' in mine
    assert musiq.startswith('musiq: two directions are given. Of the scorer musiq')
    assert own == 'own: two directions are given.'


def test_agreement_of_items_is_that_by_hand(items, tmp_path):
    columns, out = find_score_columns(['musiq', 'LPIPS']), tmp_path / 'out'
    report, _, failures = analyse_metrics(str(items), [], str(out), given=columns, resamples=50)
    assert failures == {}
    found = agreement_in(out)
    assert float(found['musiq']['accuracy']) == pytest.approx(2 / 5)
    assert float(found['LPIPS']['accuracy']) == pytest.approx(4 / 5)
    # Of three images one is the best of source 1, two are of source 2.
    assert float(found['musiq']['top_1']) == 0.5
    assert float(found['LPIPS']['top_1']) == 1
    assert json.loads((out / 'analysis.json').read_text())['top_1_chance'] == 0.5
    assert report.startswith('5 pairs from 2 source images (1 more without a clear winner).')
    assert 'by chance 0.500' in report
    assert PLCC_NOTE in report
    assert '| scorer | accuracy | top-1 | SROCC | KROCC | PLCC |' in report


def test_two_sources_are_too_few_to_claim_anything_of_combinations(items, tmp_path):
    columns, out = find_score_columns(['musiq', 'LPIPS']), tmp_path / 'out'
    report, analysis, _ = analyse_metrics(str(items), [], str(out), given=columns, resamples=50)
    assert analysis.combinations == []
    assert 'no cross-validation is possible: nothing is claimed of combinations' in report
    text = (out / 'ensemble.yml').read_text()
    assert '# not cross-validated, which takes 5 sources or more' in text
    assert '# Left out, as no option file can build them for this: LPIPS.' in text
    scorers = yaml.safe_load(text)['datasets']['train']['quality']['scorer']['scorers']
    assert [scorer['metric'] for scorer in scorers] == ['musiq']


def test_pairs_with_scores_need_no_images(pairs, tmp_path):
    columns, out = find_score_columns(['musiq']), tmp_path / 'out'
    analyse_metrics(str(pairs), [], str(out), given=columns, resamples=50)
    assert float(agreement_in(out)['musiq']['accuracy']) == pytest.approx(2 / 3)


@pytest.mark.usefixtures('scorers')
def test_given_and_computed_scores_stand_side_by_side(pairs_csv, tmp_path):
    head, *lines = pairs_csv.read_text().splitlines()
    lines = [f'{line},{i % 2 * 2},1,5,5' for i, line in enumerate(lines)]
    head += ',mine_a,mine_b,brightness_a,brightness_b'
    pairs_csv.write_text('\n'.join([head, *lines]))
    columns = find_score_columns([], ['mine'], ['brightness'])
    _, analysis, _ = analyse_metrics(
        *(str(pairs_csv), ['brightness'], str(tmp_path / 'out')), given=columns, resamples=50
    )
    assert analysis.comparisons.names == ('mine', 'brightness', 'brightness (1)')
    # People prefer b in the first pair of each source, a in the second.
    assert [found.value for found in analysis.agreement['accuracy']] == [0, 0.5, 1]


def test_every_bad_score_is_named_with_file_line_and_column(items, pairs):
    items.write_text(ITEMS.replace(',0.3\n1/z', ',inf\n1/z').replace(',30,', ',,'))
    with pytest.raises(DataError) as caught:
        read_given_scores(str(items), find_score_columns(['musiq', 'LPIPS']))
    assert caught.value.problems == [
        f"{items}, line 5: musiq is ''; give a finite number, or remove the line.",
        f"{items}, line 3: LPIPS is 'inf'; give a finite number, or remove the line.",
    ]
    pairs.write_text(pairs.read_text().replace('px,pz,0,p,50', 'px,pz,0,p,51'))
    with pytest.raises(DataError, match='line 3: musiq_a is another score of px than in a line'):
        read_given_scores(str(pairs), find_score_columns(['musiq']))


def test_scores_beside_winner_and_loser_are_read(tmp_path):
    path = tmp_path / 'votes.csv'
    path.write_text('winner,loser,source_id,musiq_winner,musiq_loser\n1x,1y,1,50,40\n2x,2y,2,6,7\n')
    (scorer,) = read_given_scores(str(path), find_score_columns(['musiq']))
    assert sorted(scorer.quality.values()) == [6, 7, 40, 50]
    with pytest.raises(DataError, match='no column lpips_winner, lpips_loser'):
        refuse_unknown_columns(find_score_columns(['lpips']), [str(path)])
    _, analysis, _ = analyse_metrics(
        str(path), [], str(tmp_path / 'out'), given=find_score_columns(['musiq']), resamples=50
    )
    assert analysis.agreement['accuracy'][0].value == 0.5


def test_unknown_columns_are_named_with_the_nearest(items, pairs):
    columns = find_score_columns([], [], ['musik', 'method'])
    with pytest.raises(DataError, match=r"items\.csv: no column musik\. Did you mean 'musiq'"):
        refuse_unknown_columns(columns, [str(items)])
    with pytest.raises(DataError, match='no column musik, musik_a, musik_b'):
        refuse_unknown_columns(columns[:1], [str(items), str(pairs)])
    with pytest.raises(DataError, match='no CSV file is given, and so: no column musik'):
        refuse_unknown_columns(columns[:1], [])
    with pytest.raises(DataError, match="line 2: method is 'x'; give a finite number"):
        read_given_scores(str(items), columns)
