import cv2
import numpy as np
import pytest

from iqasr.analysis.pairs import (
    ImagePair,
    PairVote,
    pairs_from_csv,
    pairs_from_votes,
    read_pairs,
    write_pairs,
)
from iqasr.data.candidates.hggt import write_votes
from iqasr.data.stores.lmdb_store import create_lmdb
from iqasr.runtime.errors import DataError
from iqasr.sampling.labels import Label

P, S, N = Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE
JUDGED = {
    'photo-0-0': {'01': (P, P, P), '02': (N, N, P), '03': (S, S, P)},
    'photo-0-288': {'01': (P, S, N), '02': (P, P, N), '03': (N, N, N)},
    'other-0-0': {'01': (S, S, S), '02': (S, S, S), '03': (S, S, S)},
}


@pytest.fixture
def labelled(tmp_path):
    """Two patches of one photograph, one of another; three candidates each."""
    root = tmp_path / 'set'
    for folder in ('original', '01', '02', '03'):
        (root / folder).mkdir(parents=True)
        for name in JUDGED:
            cv2.imwrite(str(root / folder / f'{name}.png'), np.zeros((8, 8, 3), np.uint8))
    for index, who in enumerate('ABC'):
        (root / 'labels' / who).mkdir(parents=True)
        for name, votes in JUDGED.items():
            of_one = {folder: labels[index] for folder, labels in votes.items()}
            write_votes(str(root / 'labels' / who / f'{name}.json'), name, of_one)
    return root


def short(pair):
    places = [path.replace('.png', '').split('/')[-2:] for path in (pair.path_a, pair.path_b)]
    return (*(folder for folder, _ in places), pair.p_b, pair.weight)


def test_labels_become_pairs_weighted_by_votes(labelled):
    pairs = read_pairs(str(labelled)).pairs
    of = {name: {short(p) for p in pairs if f'{name}.png' in p.path_a} for name in JUDGED}
    assert of['photo-0-0'] == {
        ('original', '01', 1.0, 1.0),
        ('original', '02', 0.0, 2 / 3),
        ('original', '03', 0.5, 2 / 3),
        ('02', '01', 1.0, 2 / 3),
    }
    assert of['photo-0-288'] == {
        ('original', '01', 0.5, 1 / 3),
        ('original', '02', 1.0, 2 / 3),
        ('original', '03', 0.0, 1.0),
        ('03', '02', 1.0, 2 / 3),
    }


def test_patches_of_one_photograph_are_one_source(labelled):
    assert {pair.source_id for pair in read_pairs(str(labelled)).pairs} == {'photo', 'other'}


def test_lmdb_gives_the_same_pairs(labelled, tmp_path):
    create_lmdb(str(labelled), str(tmp_path / 'set.lmdb'))
    from_lmdb = read_pairs(str(tmp_path / 'set.lmdb'))
    folder = read_pairs(str(labelled)).pairs
    assert [p[2:] for p in from_lmdb.pairs] == [p[2:] for p in folder]
    images = from_lmdb.images()
    assert images.reader.image(images.groups[0].files[0]).dtype == np.uint8


def test_candidates_without_labels_are_refused(candidates):
    with pytest.raises(DataError, match='holds no labels'):
        read_pairs(str(candidates))


@pytest.fixture
def images(tmp_path):
    for name in 'abc':
        cv2.imwrite(str(tmp_path / f'{name}.png'), np.zeros((8, 8, 3), np.uint8))
    return tmp_path


def test_csv_round_trip(images):
    pairs = [ImagePair(f'{images}/a.png', f'{images}/b.png', 1 / 3, 'x, y')]
    pairs.append(ImagePair(f'{images}/c.png', f'{images}/a.png', 1.0, 'z'))
    (images / 'deep').mkdir()
    write_pairs(images / 'deep/pairs.csv', pairs)
    assert '../a.png,../b.png' in (images / 'deep/pairs.csv').read_text()
    assert pairs_from_csv(str(images / 'deep/pairs.csv')).pairs == pairs
    groups = read_pairs(str(images / 'deep/pairs.csv')).images().groups
    assert [group.files for group in groups] == [
        (f'{images}/a.png', f'{images}/b.png'),
        (f'{images}/c.png', f'{images}/a.png'),
    ]


def test_every_problem_of_a_csv_is_named_with_its_line(images):
    path = images / 'bad.csv'
    path.write_text(
        'source_id,path_a,path_b,p_b,rater\n'
        's,a.png,b.png,0.5,x\n'
        's,a.png,gone.png,1.2,x\n'
        's,a.png,b.png,many,x\n'
        ',a.png,b.png,0,x\n'
        's,a.png,b.png,nan,x\n'
        's,a.png\n'
        's,a.png,./a.png,1,x\n'
    )
    with pytest.raises(DataError) as caught:
        pairs_from_csv(str(path))
    problems = [problem.removeprefix(f'{path}, ') for problem in caught.value.problems]
    assert [problem.split(':')[0] for problem in problems] == [
        'line 3', 'line 3', 'line 4', 'line 5', 'line 6', 'line 7', 'line 8',
    ]  # fmt: skip
    assert 'gone.png: there is no such file' in problems[0]
    assert 'p_b is 1.2; give the share' in problems[1]
    assert 'p_b is many' in problems[2]
    assert 'source_id: empty' in problems[3]
    assert 'path_b, p_b: empty' in problems[5]
    assert 'path_a and path_b are both a.png; name two images.' in problems[6]


@pytest.mark.parametrize(('share', 'side'), [(0, 'a'), (1, 'b')])
def test_csv_of_ten_pairs_whose_votes_are_all_for_one_side_is_refused(tmp_path, share, side):
    lines = [f'{number}x,{number}y,{share},{number}\n' for number in range(10)]
    path = tmp_path / 'pairs.csv'
    path.write_text('path_a,path_b,p_b,source_id\n' + ''.join(lines))
    with pytest.raises(DataError, match=f'all votes are for {side}.*call the columns winner and'):
        read_pairs(str(path), with_images=False)
    path.write_text('path_a,path_b,p_b,source_id\n' + ''.join(lines[:9]))
    assert [pair.p_b for pair in read_pairs(str(path), with_images=False).pairs] == [share] * 9


def test_votes_for_winners_are_counted_into_pairs(images):
    path = images / 'votes.csv'
    path.write_text(
        'loser,winner,source_id,rater\n'
        'b.png,a.png,s,1\nb.png,a.png,s,2\na.png,b.png,s,3\na.png,c.png,t,1\n'
    )
    assert read_pairs(str(path)).pairs == [
        ImagePair(f'{images}/a.png', f'{images}/b.png', 1 / 3, 's'),
        ImagePair(f'{images}/a.png', f'{images}/c.png', 1.0, 't'),
    ]


def test_winners_that_all_come_first_are_no_mistake(tmp_path):
    path = tmp_path / 'votes.csv'
    lines = [f'a{number},b{number},{number}\n' for number in range(20)]
    path.write_text('winner,loser,source_id\n' + ''.join(lines))
    assert {pair.p_b for pair in read_pairs(str(path), with_images=False).pairs} == {0.0}


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('path_a,p_b\n', 'no column path_b, source_id. The first line'),
        ('', 'no column path_a, path_b, p_b, source_id'),
        ('path_a,path_b,p_b,source_id\n', 'holds only the line'),
        ('winner,loser\nx,y\n', 'no column source_id. The first line .*: winner,loser,source_id'),
        ('winner,loser,source_id\na.png,./a.png,s\n', 'line 2: winner and loser are both a.png'),
        ('winner,loser,source_id\na.png,x.png,s\n', 'x.png: there is no such file'),
        ('path_a,path_b,p_b,source_id\na.png,b.png,1,s\n', 'all pairs come from one source'),
    ],
)
def test_csv_without_what_it_takes_is_refused(images, text, message):
    (images / 'bad.csv').write_text(text)
    with pytest.raises(DataError, match=message):
        read_pairs(str(images / 'bad.csv'))


def test_votes_are_counted_whichever_side_an_image_was_on():
    votes = [('x', 'y', 's', 'b'), ('y', 'x', 's', 'a'), ('y', 'x', 's', 'b'), ('y', 'z', 's', 'a')]
    assert pairs_from_votes(PairVote(*vote) for vote in votes) == [
        ImagePair('x', 'y', 2 / 3, 's'),
        ImagePair('y', 'z', 0.0, 's'),
    ]
    with pytest.raises(DataError, match="a vote for 'left'"):
        pairs_from_votes([PairVote('x', 'y', 's', 'left')])
