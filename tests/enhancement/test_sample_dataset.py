"""The sample data set: whole, the same every time, and what it says it is."""

import hashlib
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from iqasr.data.candidates.candidate_set import open_candidates
from iqasr.data.checks.candidate_checks import check_candidates
from iqasr.data.checks.pair_checks import PairRules, check_pairs
from iqasr.enhancement import sample_dataset
from iqasr.enhancement.sample_dataset import EVERYDAY, TRAIN, VALIDATION, make_sample_dataset
from iqasr.sampling.labels import Label


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """A data set of one photograph for training, one for validation."""
    target = tmp_path_factory.mktemp('sample') / 'made'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_dataset, 'TRAIN', ('coffee',))
        patch.setattr(sample_dataset, 'VALIDATION', ('chelsea',))
        make_sample_dataset(str(target))
        yield target


def digests(folder):
    files = sorted(path for path in Path(folder).rglob('*') if path.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_two_runs_give_the_same_bytes_even_after_a_killed_one(made, tmp_path):
    partial = tmp_path / 'again.partial' / 'train' / 'original'
    partial.mkdir(parents=True)
    (partial / 'left-over.png').write_bytes(b'half an im')
    make_sample_dataset(str(tmp_path / 'again'))
    assert digests(tmp_path / 'again') == digests(made)
    assert not (tmp_path / 'again.partial').exists()


def test_existing_target_is_left_alone(made):
    with pytest.raises(FileExistsError, match='Remove it to make it again'):
        make_sample_dataset(str(made))


def test_training_set_is_sound(made):
    candidates = open_candidates(str(made / 'train'))
    assert [len(group.files) for group in candidates.groups] == [5] * 6
    assert check_candidates(candidates, min_size=320) == []


def test_harsh_candidates_are_negative_and_crisp_ones_positive(made):
    for group in open_candidates(str(made / 'train')).groups:
        assert group.labels[2] is Label.POSITIVE
        assert group.labels[4] is Label.NEGATIVE


def test_originals_are_cut_from_the_photograph(made):
    photograph = skimage.data.coffee()
    patch = cv2.imread(str(made / 'train' / 'original' / 'coffee-80-140.png'))
    assert np.array_equal(patch[..., ::-1], photograph[80:400, 140:460])


def test_candidates_by_other_enhancers(tmp_path):
    enhancers = {'01': lambda image: 255 - image, '02': lambda image: image // 2}
    make_sample_dataset(str(tmp_path / 'made'), enhancers=enhancers)
    train = tmp_path / 'made/train'
    originals = sorted((train / 'original').iterdir())
    assert {path.name.split('-')[0] for path in originals} == {*EVERYDAY}
    assert sorted(path.name for path in train.iterdir()) == ['01', '02', 'labels', 'original']
    for path in originals:
        image, negative, dark = (
            cv2.imread(str(train / folder / f'{path.stem}{ending}.png'))
            for folder, ending in (('original', ''), ('01', '_01'), ('02', '_02'))
        )
        assert np.array_equal(negative, 255 - image)
        assert np.array_equal(dark, image // 2)


def test_validation_pairs_fit(made):
    val = made / 'val'
    assert os.listdir(val / 'gt') == ['chelsea.png']
    assert check_pairs(str(val / 'gt'), str(val / 'lq_x4'), PairRules(4, exact=True)) == []


def test_training_and_validation_photographs_are_disjoint():
    assert len(set(TRAIN)) == 5
    assert len(set(VALIDATION)) == 2
    assert not set(TRAIN) & set(VALIDATION)


@pytest.mark.parametrize(
    ('gain', 'strictness', 'label'),
    [
        (1.0, 1.0, Label.SIMILAR),
        (1.35, 1.0, Label.POSITIVE),
        (1.35, 1.15, Label.SIMILAR),
        (2.5, 1.0, Label.NEGATIVE),
        (2.5, 1.15, Label.POSITIVE),
    ],
)
def test_votes_follow_gain_in_sharpness(gain, strictness, label):
    assert sample_dataset._vote(gain, strictness) is label
