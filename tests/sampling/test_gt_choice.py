"""The choice as it is carried out in training, against formula and hand."""

import csv

import pytest
import torch
from torch.utils.data import default_collate

from iqasr.data.files.crop import turned
from iqasr.data.multi_gt_dataset import MultiGTDataset
from iqasr.data.scores.score_table import score_candidates
from iqasr.models.choice import GTChoice, build_choice
from iqasr.quality.base import QualityScorer
from iqasr.registry import SCORER_REGISTRY
from iqasr.runtime.randomness import generator_at
from iqasr.sampling import ArgmaxSampler, SoftmaxSampler

CPU = torch.device('cpu')


class Roughness(QualityScorer):
    """Mean absolute difference of neighbours: a real, if naive, measure of detail."""

    name, version, score_range = 'roughness', '1', (0.0, 1.0)

    def _score(self, image, reference=None):
        return image.diff(dim=-1).abs().mean((1, 2, 3))


@pytest.fixture(scope='module')
def table(candidates, tmp_path_factory):
    path = tmp_path_factory.mktemp('table') / 'quality.csv'
    return score_candidates(str(candidates), Roughness(), path)


def test_softmax_frequencies_follow_the_formula(candidates, table):
    """SMA: 3,000 draws of one image through table, data set and generators of the stream."""
    temperature = 0.02
    dataset = MultiGTDataset(
        str(candidates),
        32,
        scale=4,
        margin=0,
        sampling=SoftmaxSampler(temperature=temperature),
        quality={'table': str(table)},
    )
    with open(table, encoding='utf-8', newline='') as file:
        rows = [row for row in csv.DictReader(file) if row['key'] == '03']
    quality = torch.tensor([float(row['quality']) for row in rows], dtype=torch.float64)
    expected = (quality / temperature).exp() / (quality / temperature).exp().sum()
    draws = torch.tensor([dataset.draw(3, generator_at(0, i))['choice'] for i in range(3000)])
    frequencies = torch.bincount(draws, minlength=3) / 3000
    deviation = (frequencies - expected).abs() / (expected * (1 - expected) / 3000).sqrt()
    assert expected.min() > 0.05  # every candidate has a say
    assert deviation.max() < 4


def test_argmax_on_the_crop_is_what_scoring_by_hand_chooses(candidates):
    """AMO: every sample's target is the crop that scores best when scored one by one."""
    dataset = MultiGTDataset(
        str(candidates), 32, scale=4, margin=32, sampling=ArgmaxSampler(), quality={}
    )
    batch = default_collate([dataset.draw(i, generator_at(1, i)) for i in range(10)])
    gt, log = GTChoice(ArgmaxSampler(), Roughness())(batch, generator_at(2), CPU)
    scorer, shares = Roughness(), torch.zeros(3)
    for item in range(10):
        crops = batch['candidates'][item]
        by_hand = max(range(3), key=lambda k: float(scorer(crops[k : k + 1].float() / 255)))
        turns = batch['turns'][item].tolist()
        assert torch.equal(gt[item], turned(crops[by_hand], *turns))
        shares[by_hand] += 0.1
    assert [log[f'choice_{k}'].item() for k in range(3)] == pytest.approx(shares.tolist())
    assert log['quality_chosen'] > log['quality_mean']


def test_scores_found_online_are_normalised_as_the_section_asks(monkeypatch):
    monkeypatch.setitem(SCORER_REGISTRY._obj_map, 'Roughness', Roughness)
    candidates = torch.rand(2, 3, 3, 32, 32, generator=generator_at(0))
    for norm in ('none', 'zscore_set'):
        quality = {'scorer': {'type': 'Roughness'}, 'norm': norm}
        section = {'sampling': {'type': 'ArgmaxSampler'}, 'quality': quality, 'gt_size': 32}
        found = build_choice(section, CPU).score(candidates, torch.ones(2, 3, dtype=torch.bool))
        assert (found.mean(1).abs() < 1e-4).all() == (norm == 'zscore_set')


def test_candidates_that_are_not_allowed_are_neither_scored_nor_chosen(candidates):
    seen = []

    class Counting(Roughness):
        def _score(self, image, reference=None):
            seen.append(len(image))
            return super()._score(image)

    sampler = ArgmaxSampler(candidates='enhanced')
    dataset = MultiGTDataset(str(candidates), 32, scale=4, sampling=sampler, quality={})
    batch = default_collate([dataset.draw(i, generator_at(1, i)) for i in range(4)])
    _, log = GTChoice(sampler, Counting())(batch, generator_at(2), CPU)
    assert seen == [8]
    assert log['choice_0'] == 0


def test_crop_of_a_degraded_region_matches_the_target(candidates):
    """The low-quality input shows the same piece of the scene as the ground truth."""
    from iqasr.degradation import BicubicDegradation
    from iqasr.models.sample_preparation import crop_at
    from iqasr.sampling import UniformSampler

    sampler = UniformSampler(candidates='original')
    size = {'scale': 4, 'margin': 32}
    dataset = MultiGTDataset(str(candidates), 32, **size, sampling=sampler, use_rot=True)
    batch = default_collate([dataset.draw(i % 10, generator_at(3, i)) for i in range(20)])
    original, gt = (batch[key].float() / 255 for key in ('original', 'gt'))
    degradation = BicubicDegradation(scale=4)
    lq = crop_at(degradation(original, generator_at(0)), batch['offset'] // 4, 8)
    inner = slice(2, 6)  # away from the border of the crop, where the target has no neighbours
    aligned = degradation(gt, generator_at(0))
    assert (lq - aligned)[..., inner, inner].abs().max() < 0.02
