import math

import pytest
import torch

from iqasr.quality import EnsembleScorer, QualityScorer
from iqasr.quality.ensemble import build_bounded
from iqasr.registry import SCORER_REGISTRY
from iqasr.runtime.randomness import generator_at


class Bright(QualityScorer):
    """Mean of the pixels in percent."""

    name, version, score_range = 'bright', '1', (0.0, 100.0)
    min_size, differentiable = 8, True

    def _score(self, image, reference=None):
        return 100 * image.mean((1, 2, 3))


class Glare(QualityScorer):
    """Squared mean, published with lower better, without a known range."""

    name, version, lower_better = 'glare', '2', True
    min_size, differentiable = 16, True

    def _score(self, image, reference=None):
        return 5 * image.mean((1, 2, 3)).square()


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(SCORER_REGISTRY._obj_map, 'Bright', Bright)
    monkeypatch.setitem(SCORER_REGISTRY._obj_map, 'Glare', Glare)


BRIGHT, GLARE = {'type': 'Bright'}, {'type': 'Glare', 'range': [10, 0]}
IMAGE = torch.full((2, 3, 16, 16), 0.8)  # bright: 0.8; glare: 1 - 5 * 0.64 / 10 = 0.68


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({}, 0.74),
        ({'fusion': 'weighted', 'weights': [1.0, 3.0]}, 0.71),
        ({'fusion': 'worst', 'temperature': 1e-3}, 0.68 + 1e-3 * math.log(2)),
        ({'fusion': 'worst', 'temperature': 1e3}, 0.74),
    ],
)
def test_fusion_of_normalised_quality(options, expected):
    quality = EnsembleScorer([BRIGHT, GLARE], **options)(IMAGE)
    assert quality.tolist() == pytest.approx([expected] * 2, abs=2e-4)


def test_soft_minimum_by_its_formula():
    a, b = math.exp(-0.8 / 0.1), math.exp(-0.68 / 0.1)
    quality = EnsembleScorer([BRIGHT, GLARE], fusion='worst')(IMAGE)
    assert quality[0].item() == pytest.approx(-0.1 * math.log((a + b) / 2), abs=1e-6)


def test_random_member_is_a_function_of_the_generator():
    scorer, drawn = EnsembleScorer([BRIGHT, GLARE], fusion='random'), []
    for place in range(40):
        scorer.generator = generator_at('ensemble', place % 20)
        drawn.append(round(scorer(IMAGE)[0].item(), 4))
    assert set(drawn) == {0.8, 0.68}
    assert drawn[:20] == drawn[20:]


def test_random_without_generator_is_refused():
    with pytest.raises(ValueError, match='use mean, weighted or worst here'):
        EnsembleScorer([BRIGHT, GLARE], fusion='random')(IMAGE)


def test_attributes_follow_from_the_members():
    scorer = EnsembleScorer([BRIGHT, GLARE])
    assert (scorer.min_size, scorer.score_range, scorer.differentiable) == (16, (0.0, 1.0), True)
    assert (scorer.name, scorer.version) == ('mean(bright, glare)', '1, 2')
    assert not EnsembleScorer([BRIGHT, {'type': 'NIQEScorer'}]).differentiable


def test_version_tells_what_the_numbers_depend_on():
    versions = {EnsembleScorer([BRIGHT, GLARE], fusion='worst', temperature=t).version
                for t in (0.1, 0.2)}  # fmt: skip
    assert len(versions) == 2


@pytest.mark.parametrize(
    ('section', 'reason'),
    [
        ({'type': 'Glare'}, r'glare: .* Give `range: \[worst, best\]`'),
        ({'type': 'Glare', 'range': [0, 10]}, r'from 0 \(worst\) to 10 .*; lower is better'),
        ({'type': 'Bright', 'range': [0, math.inf]}, 'cannot be mapped'),
    ],
)
def test_members_without_a_range_are_refused(section, reason):
    with pytest.raises(ValueError, match=reason):
        build_bounded(section)


@pytest.mark.parametrize(
    ('options', 'reason'),
    [
        ({'weights': [1.0, 1.0]}, "belong to fusion 'weighted'"),
        ({'fusion': 'weighted'}, 'which needs them'),
        ({'fusion': 'weighted', 'weights': [1.0]}, '1 for 2 scorers'),
    ],
)
def test_weights_that_do_not_suit_are_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        EnsembleScorer([BRIGHT, GLARE], **options)


def test_gradient_is_the_mean_of_the_members():
    image = IMAGE[:1].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(EnsembleScorer([BRIGHT, GLARE])(image).sum(), image)
    per_pixel = (1 - 2 * 0.8 * 5 / 10) / 2 / image.numel()
    torch.testing.assert_close(gradient, torch.full_like(image, per_pixel))
