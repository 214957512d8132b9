"""Votes: the fit of the detail, its cross-validation, and what may be said of it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from iqasr.analysis.bootstrap import Estimate
from iqasr.quality.ranker import RankerNetwork, detail_statistics
from iqasr.ranking import RankerOptions, train_from_folder
from iqasr.ranking.votes import (
    RIDGE,
    VotedSource,
    cross_validate,
    describe_agreement,
    fit_detail,
    measure,
    read_votes,
)
from iqasr.runtime.errors import DataError

COMPACT = Path(__file__).parents[2] / 'options/test/compact_x4.yml'


def source_of(photograph, name='s', likes_detail=True):
    """Three versions, ever more blurred; nine of ten people prefer the one with more detail."""
    versions = [cv2.GaussianBlur(photograph, (0, 0), s) if s else photograph for s in (0, 0.6, 1.5)]
    images = torch.from_numpy(np.stack(versions).transpose(0, 3, 1, 2).copy())
    share = 0.1 if likes_detail else 0.9
    return VotedSource(name, images, [(0, 1, share), (1, 2, share), (2, 0, 1 - share)])


@pytest.fixture
def crops(photographs):
    return [photographs[i % len(photographs)][i : i + 90, i : i + 100] for i in range(6)]


def test_statistics_by_numpy(crops):
    image = torch.from_numpy(crops[0].transpose(2, 0, 1).copy())[None].float() / 255
    padded = np.pad(crops[0].astype(float) / 255, ((1, 1), (1, 1), (0, 0)), 'edge')
    height, width = crops[0].shape[:2]
    mean = sum(padded[y : y + height, x : x + width] for y in range(3) for x in range(3)) / 9
    detail = crops[0] / 255 - mean
    expected = [
        *np.log(np.abs(detail).mean((0, 1)) + 1 / 255),
        *np.log(detail.var((0, 1)) + 1 / 255**2) / 2,
    ]
    assert detail_statistics(image)[0].tolist() == pytest.approx(expected, abs=1e-4)


def test_fit_is_the_regularised_optimum(crops):
    votes = [source_of(crop, str(i)) for i, crop in enumerate(crops)]
    table = measure(votes)._replace(damage=torch.linspace(-1, 1, 18))
    x, damage, y = (column.double().numpy() for column in table[:3])

    def objective(weights):
        logits = x @ weights - damage
        entropy = np.logaddexp(0, logits) - y * logits
        return entropy.mean() + RIDGE * (weights**2).sum()

    expected = minimize(objective, np.zeros(6), tol=1e-12).x
    assert fit_detail(table).numpy() == pytest.approx(expected, abs=1e-3)
    assert expected.sum() > 0


def test_cross_validation_predicts_photographs_without_votes(crops):
    network = RankerNetwork()
    torch.nn.init.zeros_(network.judge.weight)
    votes = [source_of(crop, str(i)) for i, crop in enumerate(crops)]
    agreement = cross_validate(measure(votes, network))
    assert agreement == Estimate(1.0, 1.0, 1.0)
    # People who vote about each photograph at random agree with nothing that others teach.
    mixed = [source_of(c, str(i), likes_detail=i % 2 == 0) for i, c in enumerate(crops)]
    agreement = cross_validate(measure(mixed, network))
    assert agreement.low <= 0.5
    assert 'no better than chance' in describe_agreement(agreement)


def test_few_photographs_claim_nothing(crops):
    votes = [source_of(crop, str(i)) for i, crop in enumerate(crops[:4])]
    assert cross_validate(measure(votes)) is None
    assert 'too few' in describe_agreement(None)


def write_votes(folder, photographs, shares=(0.1, 0.8)):
    lines = ['path_a,path_b,p_b,source_id']
    for number, (photograph, share) in enumerate(zip(photographs, shares, strict=False)):
        for name, image in (('a', photograph), ('b', cv2.GaussianBlur(photograph, (0, 0), 1))):
            cv2.imwrite(str(folder / f'{number}{name}.png'), image[..., ::-1])
        lines.append(f'{number}a.png,{number}b.png,{share},{number}')
    (folder / 'pairs.csv').write_text('\n'.join(lines))
    return str(folder / 'pairs.csv')


def test_votes_are_read_as_rgb(crops, tmp_path):
    votes = read_votes(write_votes(tmp_path, crops[:2]))
    assert [(v.name, v.pairs) for v in votes] == [('0', [(0, 1, 0.1)]), ('1', [(0, 1, 0.8)])]
    assert (votes[0].images[0].permute(1, 2, 0).numpy() == crops[0]).all()


def test_ties_alone_and_unequal_sizes_are_refused(crops, tmp_path):
    with pytest.raises(DataError, match='all pairs are ties'):
        read_votes(write_votes(tmp_path, crops[:2], (0.5, 0.5)))
    path = write_votes(tmp_path, crops[:2])
    cv2.imwrite(str(tmp_path / '1b.png'), crops[0][:50])
    with pytest.raises(DataError, match=r'1: its images differ in size \(.*1b.png: 96x50'):
        read_votes(path)


def test_training_from_votes_and_networks_end_to_end(crops, photographs, tmp_path, caplog):
    caplog.set_level('INFO', 'iqasr')
    folder = tmp_path / 'photographs'
    folder.mkdir()
    cv2.imwrite(str(folder / 'p.png'), photographs[0][..., ::-1])
    (tmp_path / 'votes').mkdir()
    votes = write_votes(tmp_path / 'votes', crops[:5], (0.1,) * 5)
    options = RankerOptions(
        iterations=3, photographs_per_batch=4, crop_px=48, rungs=3, order_iterations=2
    )
    output = str(tmp_path / 'r.safetensors')
    train_from_folder(
        str(folder),
        output,
        options,
        reduce=1,
        networks=[str(COMPACT)],
        tuned=[str(COMPACT)] * 2,
        votes=votes,
    )
    assert 'left out of the fit: 1.000 [1.000, 1.000], better than chance' in caplog.text
