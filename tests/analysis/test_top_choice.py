"""Choices of the best of n: pairs, top-1 agreement, and what is refused."""

import numpy as np
import pytest

from iqasr.analysis.analysis import analyse_metrics
from iqasr.analysis.given_scores import find_score_columns
from iqasr.analysis.opinions import Opinion, OpinionSet, read_opinions
from iqasr.analysis.pairs import ImagePair
from iqasr.analysis.panel import PanelScorer
from iqasr.analysis.top_choice import estimate_top_1
from iqasr.runtime.errors import DataError


def chosen(votes, kind='votes'):
    """Opinions of images of sources, each a list of values."""
    return OpinionSet(
        kind,
        [Opinion(f'{s}{i}', v, s) for s, values in votes.items() for i, v in enumerate(values)],
    )


def scorer(quality):
    of_path = {f'{s}{i}': v for s, values in quality.items() for i, v in enumerate(values)}
    return PanelScorer('x', {}, False, False, of_path)


def test_each_vote_prefers_the_chosen_image_to_the_others():
    assert chosen({'s': [6, 2, 0, 0]}).pairs == [
        ImagePair('s0', 's1', 0.25, 's', 1.0),
        ImagePair('s0', 's2', 0.0, 's', 0.75),
        ImagePair('s0', 's3', 0.0, 's', 0.75),
        ImagePair('s1', 's2', 0.0, 's', 0.25),
        ImagePair('s1', 's3', 0.0, 's', 0.25),
    ]


def test_of_scores_the_higher_is_preferred():
    assert [pair[2:] for pair in chosen({'s': [1.5, 2, 1.5]}, 'mos').pairs] == [
        (1.0, 's', 1.0),
        (0.5, 's', 1.0),
        (0.0, 's', 1.0),
    ]


def test_top_1_counts_ties_and_missing_scores_by_hand():
    votes = {'a': [5, 1, 0], 'b': [0, 3, 3], 'c': [1, 0, 0], 'd': [0, 0, 9], 'alone': [1]}
    quality = {
        'a': [0.9, 0.1, 0.2],  # right
        'b': [0.1, 0.2, 0.9],  # one of the two that are liked best
        'c': [0.5, 0.5, 0.1],  # right or wrong, by a fair coin
        'd': [0.1, np.nan, 0.9],  # chance
        'alone': [1],
    }
    (found,), chance = estimate_top_1(chosen(votes), [scorer(quality)], 50)
    assert found.value == pytest.approx((1 + 1 + 1 / 2 + 1 / 3) / 4)
    assert chance == pytest.approx((1 + 2 + 1 + 1) / 3 / 4)


def test_random_scorer_agrees_by_chance():
    draw = np.random.default_rng(0)
    votes = {f'{s}-': draw.permutation([7, 4, 3, 1]) for s in range(400)}
    guessed = scorer({source: draw.normal(size=4) for source in votes})
    (found,), chance = estimate_top_1(chosen(votes), [guessed], 200)
    assert chance == 0.25
    assert found.low < 0.25 < found.high
    assert found.high - found.low < 0.1


VOTES = """\
path,source_id,votes,musiq
1a,1,5,60
1b,1,3,50
1c,1,0,55
2a,2,0,40
2b,2,8,30
2c,2,0,35
"""


def test_choices_are_analysed_from_a_file(tmp_path):
    (tmp_path / 'votes.csv').write_text(VOTES)
    report, analysis, _ = analyse_metrics(
        *(str(tmp_path / 'votes.csv'), [], str(tmp_path / 'out')),
        given=find_score_columns(['musiq']),
        resamples=50,
    )
    assert 'by chance 0.333' in report
    assert analysis.agreement['top_1'][0].value == 0.5
    # Weights 1, 5/8 and 3/8 of source 1, the last one wrong; 1 and 1 of source 2, both wrong.
    assert analysis.agreement['accuracy'][0].value == pytest.approx((1 + 5 / 8) / 4)


@pytest.mark.parametrize(
    ('old', 'new', 'problem'),
    [
        ('1b,1,3', '1b,1,-3', "line 3: votes is '-3'; give how often the image was chosen, 0 or"),
        ('1b,1,3', '1b,1,2.5', "line 3: votes is '2.5'"),
        ('1b,1,3', '1b,,3', 'line 3: source_id: empty'),
        ('1b,1,3', ',1,3', 'line 3: path: empty'),
        ('1b,1,3', '1a,1,3', '1a is there 2 times; name each image once'),
        ('2b,2,8', '2b,2,0', 'nobody has voted on source 2'),
        ('2c,2,0', '2c,3,1', 'source 3 has a single image'),
        (',votes,', ',chosen,', 'no column mos .*, nor votes and source_id'),
        ('votes,musiq', 'votes,votes', 'column votes is there twice'),
    ],
)
def test_choices_that_cannot_be_are_refused(old, new, problem, tmp_path):
    assert VOTES.count(old) == 1
    (tmp_path / 'votes.csv').write_text(VOTES.replace(old, new))
    with pytest.raises(DataError, match=problem):
        read_opinions(str(tmp_path / 'votes.csv'), with_images=False)
