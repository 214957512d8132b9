"""Labels: merging, reading, refusing."""

import itertools
import json

import pytest

from iqasr.data.candidates.hggt import merge_votes, read_labels, read_votes, write_votes
from iqasr.sampling.labels import Label

POSITIVE, SIMILAR, NEGATIVE = Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE


def test_label_codes_are_those_of_hggt():
    assert [int(label) for label in Label] == [0, 1, 2, 3]


@pytest.mark.parametrize('votes', itertools.product((POSITIVE, SIMILAR, NEGATIVE), repeat=3))
def test_merge_is_the_majority_or_similar(votes):
    expected = (SIMILAR, 1)
    for label in votes:
        if votes.count(label) >= 2:
            expected = (label, votes.count(label))
    assert merge_votes(votes) == expected


def test_merge_refuses_two_votes():
    with pytest.raises(ValueError, match='3 votes'):
        merge_votes([POSITIVE, POSITIVE])


def test_votes_survive_writing_and_reading(tmp_path):
    path = str(tmp_path / 'x-1-2.json')
    votes = {'01': NEGATIVE, '02': SIMILAR, '03': POSITIVE}
    write_votes(path, 'x-1-2', votes)
    assert read_votes(path, ['03', '01', '02']) == (POSITIVE, NEGATIVE, SIMILAR)
    written = json.loads((tmp_path / 'x-1-2.json').read_text())
    assert written['Picture_1'] == {'Name': 'x-1-2.png', 'File': 'original', 'Label': None}
    assert written['Picture_2'] == {'Name': 'x-1-2_01.png', 'File': '01', 'Label': 'Negative'}


def test_labels_of_three_annotators_are_merged(tmp_path):
    told = {'A': (POSITIVE, NEGATIVE), 'B': (POSITIVE, SIMILAR), 'C': (SIMILAR, POSITIVE)}
    for who, (first, second) in told.items():
        (tmp_path / who).mkdir()
        write_votes(str(tmp_path / who / 'a.json'), 'a', {'01': first, '02': second})
    assert read_labels(str(tmp_path), 'a', ['01', '02']) == [(POSITIVE, 2), (SIMILAR, 1)]


def test_other_entries_of_a_label_file_are_ignored(tmp_path):
    path = tmp_path / 'a.json'
    entries = {'Picture_2': {'Name': 'a_01.png', 'File': '01', 'Label': 'Similar'}}
    path.write_text(json.dumps(entries | {'Time_cost': {'Start': 1, 'End': 2}}))
    assert read_votes(str(path), ['01']) == (SIMILAR,)


def test_label_file_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / 'a.json'
    entries = {'Picture_2': {'Name': 'a_01.png', 'File': '01', 'Label': 'Similar'}}
    path.write_text(json.dumps(entries), encoding='utf-8-sig')
    assert read_votes(str(path), ['01']) == (SIMILAR,)


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('{"Picture_1": ', 'not a label file'),
        ('[1, 2]', 'not a label file'),
        ('{"Picture_2": {"Name": "a_01.png"}}', 'not a label file'),
        ('{"Picture_2": {"File": "02", "Label": "Similar"}}', "no entry has File '01'"),
        ('{"Picture_2": {"File": "01", "Label": "Good"}}', "'Good'. Use one of Positive, Similar"),
        ('{"Picture_2": {"File": "01", "Label": null}}', 'is None. Use one of Positive'),
        ('{"Picture_2": {"File": "01", "Label": ["Similar"]}}', 'Use one of Positive'),
    ],
)
def test_bad_label_files_are_refused_by_name(tmp_path, text, reason):
    path = tmp_path / 'a.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=r'a\.json') as error:
        read_votes(str(path), ['01'])
    assert reason in str(error.value)
