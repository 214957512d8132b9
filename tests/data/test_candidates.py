"""Finding candidates in folders."""

import json
import os
import pickle
import shutil

import cv2
import pytest

from iqasr.data.candidates.candidate_set import open_candidates
from iqasr.data.candidates.hggt import write_votes
from iqasr.runtime.errors import DataError
from iqasr.sampling.labels import Label


def problems_of(*args, **kwargs):
    with pytest.raises(DataError) as error:
        open_candidates(*args, **kwargs)
    return error.value.problems


def relative(candidates, group):
    return [os.path.relpath(file, candidates.root) for file in group.files]


def test_folder_set_without_labels(make_set):
    candidates = open_candidates(make_set(names=('b', 'a')))
    assert [group.key for group in candidates.groups] == ['a', 'b']
    first = candidates.groups[0]
    assert relative(candidates, first) == ['original/a.png', '01/a_01.png', '02/a_02.png']
    assert first.names == ('original', '01', '02')
    assert first.labels == (Label.ORIGINAL, None, None)
    assert first.votes == (0, 0, 0)


def test_folder_set_with_labels(make_set, positive_then_negative):
    groups = open_candidates(make_set(labels=positive_then_negative)).groups
    assert [group.labels[1:] for group in groups] == positive_then_negative
    assert groups[0].labels[0] is Label.ORIGINAL
    assert groups[0].votes == (3, 3, 3)


def test_hggt_root_with_two_sets(make_set, positive_then_negative):
    make_set(images='images/0-3', labels=positive_then_negative)
    root = make_set(names=('z',), images='images/4-9', labels=positive_then_negative)
    groups = open_candidates(root).groups
    assert [group.key for group in groups] == ['0-3/a', '0-3/b', '0-3/c', '4-9/z']
    assert groups[1].labels == (Label.ORIGINAL, Label.SIMILAR, Label.POSITIVE)


def test_images_folder_without_sets(make_set, positive_then_negative):
    groups = open_candidates(make_set(images='images', labels=positive_then_negative)).groups
    assert [(group.key, int(group.labels[1])) for group in groups] == [('a', 1), ('b', 2), ('c', 3)]


def test_labels_from_another_folder(make_set, tmp_path, positive_then_negative):
    root = make_set(labels=positive_then_negative)
    shutil.move(os.path.join(root, 'labels'), tmp_path / 'elsewhere')
    assert open_candidates(root).groups[0].labels[1] is None
    groups = open_candidates(root, str(tmp_path / 'elsewhere')).groups
    assert groups[0].labels[1] is Label.POSITIVE


def test_candidates_may_have_the_name_of_the_original_and_any_suffix(make_set):
    root = make_set(names=('a', 'a_01'), suffix='.PNG')
    os.rename(os.path.join(root, 'original'), os.path.join(root, 'Original'))
    candidates = open_candidates(root)
    assert relative(candidates, candidates.groups[0]) == ['Original/a.png', '01/a.PNG', '02/a.PNG']
    assert relative(candidates, candidates.groups[1])[1] == '01/a_01.PNG'


def test_read_returns_the_file(make_set):
    candidates = open_candidates(make_set())
    file = candidates.groups[1].files[2]
    with open(file, 'rb') as stream:
        assert candidates.reader.read(file) == stream.read()


def test_set_survives_pickling(make_set):
    candidates = open_candidates(make_set())
    copy = pickle.loads(pickle.dumps(candidates))
    assert copy.groups == candidates.groups
    file = candidates.groups[0].files[0]
    assert copy.reader.read(file) == candidates.reader.read(file)


def test_missing_candidates_are_all_named(make_set):
    root = make_set()
    os.remove(os.path.join(root, '01', 'a_01.png'))
    os.remove(os.path.join(root, '02', 'c_02.png'))
    problems = problems_of(root)
    assert len(problems) == 2
    assert problems[0].startswith(os.path.join(root, '01', 'a_01.png') + ': missing')
    assert problems[1].startswith(os.path.join(root, '02', 'c_02.png') + ': missing')


def test_missing_candidates_are_left_out_on_request(make_set, positive_then_negative):
    root = make_set(labels=positive_then_negative)
    os.remove(os.path.join(root, '01', 'a_01.png'))
    group = open_candidates(root, allow_missing=True).groups[0]
    assert group.files[1] is None
    assert group.labels == (Label.ORIGINAL, None, Label.NEGATIVE)
    assert group.votes == (3, 0, 3)


def test_candidate_without_original_is_refused(make_set):
    root = make_set()
    os.remove(os.path.join(root, 'original', 'b.png'))
    problems = problems_of(root)
    assert [problem.split(':')[0] for problem in problems] == [
        os.path.join(root, variant, f'b_{variant}.png') for variant in ('01', '02')
    ]
    assert all('no original' in problem for problem in problems)


def test_two_images_of_one_name_are_refused(make_set, make_picture):
    root = make_set()
    cv2.imwrite(os.path.join(root, '01', 'a_01.jpg'), make_picture(0))
    assert 'Keep one of them' in problems_of(root)[0]


def test_empty_folder_of_candidates_is_one_problem(make_set):
    root = make_set()
    os.mkdir(os.path.join(root, '03'))
    assert problems_of(root) == [
        f'{os.path.join(root, "03")}: holds no image. Fill it or remove it.'
    ]


def test_folder_without_originals_is_refused(tmp_path):
    assert "no folder 'original'" in problems_of(str(tmp_path))[0]
    assert 'no such folder' in problems_of(str(tmp_path / 'absent'))[0]


def test_unknown_label_broken_json_and_missing_file_are_reported_together(
    make_set, positive_then_negative
):
    root = make_set(labels=positive_then_negative)
    labels = os.path.join(root, 'labels')
    with open(os.path.join(labels, 'A', 'a.json'), 'w', encoding='utf-8') as file:
        json.dump({'Picture_2': {'File': '01', 'Label': 'Great'}}, file)
    with open(os.path.join(labels, 'B', 'b.json'), 'w', encoding='utf-8') as file:
        file.write('{"Picture_1": ')
    os.remove(os.path.join(labels, 'C', 'c.json'))
    problems = sorted(problems_of(root))
    assert len(problems) == 3
    assert "A/a.json: the label of 01 is 'Great'. Use one of Positive, Similar" in problems[0]
    assert 'B/b.json: not a label file' in problems[1]
    assert 'C/c.json: missing. Each annotator judges each original' in problems[2]


def test_missing_annotator_is_refused(make_set, positive_then_negative):
    root = make_set(labels=positive_then_negative)
    shutil.rmtree(os.path.join(root, 'labels', 'B'))
    assert 'no folder B' in problems_of(root)[0]


def test_set_whose_originals_are_missing_is_named(make_set):
    make_set(images='images/a')
    root = make_set(images='images/b')
    os.mkdir(os.path.join(root, 'images', 'notes'))
    shutil.rmtree(os.path.join(root, 'images', 'b', 'original'))
    assert problems_of(root) == [
        f"{os.path.join(root, 'images', 'b')}: holds images, but no folder 'original'. "
        'Copy the set again, or remove it.'
    ]


def test_set_whose_labels_are_missing_is_named(make_set, positive_then_negative):
    make_set(images='images/a', labels=positive_then_negative)
    root = make_set(images='images/b')
    [problem] = problems_of(root)
    assert problem.startswith(f'{os.path.join(root, "labels", "b")}: no folder A, B, C.')


def test_votes_beyond_the_folders_are_ignored(make_set, positive_then_negative):
    root = make_set(labels=positive_then_negative)
    for who in 'ABC':
        path = os.path.join(root, 'labels', who, 'a.json')
        write_votes(path, 'a', dict.fromkeys(('01', '02', '03', '04'), Label.POSITIVE))
    assert open_candidates(root).groups[0].labels == (0, 1, 1)
