import math

import pytest
import torch

from iqasr.registry import GT_SAMPLER_REGISTRY, build
from iqasr.sampling import ArgmaxSampler, SoftmaxSampler, UniformSampler, perplexity
from iqasr.sampling.labels import Label

INF, NAN = math.inf, math.nan


def test_top_k_keeps_the_best():
    quality = torch.tensor([[1.0, 4.0, 3.0, 2.0], [-INF, NAN, 7.0, -INF]])
    expected = torch.tensor([[0, 0.5, 0.5, 0], [0, 0, 1, 0]])
    assert torch.equal(UniformSampler(top_k=2).probabilities(quality), expected)


def test_without_top_k_a_uniform_draw_does_not_look_at_quality():
    quality = torch.tensor([[1.0, NAN, 3.0, -INF], [NAN, NAN, -INF, -INF]])
    expected = torch.tensor([[1, 1, 1, 0], [1.5, 1.5, 0, 0]]) / 3
    for margin in (0.0, 0.5):
        found = UniformSampler(margin=margin).probabilities(quality)
        torch.testing.assert_close(found, expected)


def test_top_k_keeps_those_as_good_as_the_last():
    probabilities = UniformSampler(top_k=2).probabilities(torch.tensor([[1.0, 2.0, 3.0, 2.0]]))
    torch.testing.assert_close(probabilities, torch.tensor([[0, 1, 1, 1]]) / 3)


def test_margin_falls_back_to_uniform_where_the_lead_is_small():
    quality = torch.tensor([[1.0, 1.4, -INF], [1.0, 1.6, -INF], [3.0, -INF, -INF]])
    expected = torch.tensor([[0.5, 0.5, 0], [0, 1, 0], [1, 0, 0]])
    assert torch.equal(ArgmaxSampler(margin=0.5).probabilities(quality), expected)


def test_margin_is_uniform_over_what_top_k_keeps():
    sampler = ArgmaxSampler(margin=0.5, top_k=2)
    assert sampler.probabilities(torch.tensor([[1.0, 2.0, 2.1]])).tolist() == [[0, 0.5, 0.5]]


LABELS = [Label.ORIGINAL, Label.POSITIVE, Label.NEGATIVE, Label.SIMILAR, None, Label.POSITIVE]


@pytest.mark.parametrize(
    ('enhanced', 'allowed'),
    [
        ([Label.NEGATIVE, Label.SIMILAR], [True, False, False]),
        ([Label.SIMILAR, Label.SIMILAR], [False, False, False]),
        ([Label.NEGATIVE, Label.POSITIVE], [False, False, True]),
    ],
)
def test_original_stands_in_where_there_are_negatives_only(enhanced, allowed):
    sampler = UniformSampler(candidates='positives-else-original')
    assert sampler.allowed_candidates([Label.ORIGINAL, *enhanced]) == allowed


@pytest.mark.parametrize(
    ('candidates', 'allowed'),
    [
        ('all', [1, 1, 1, 1, 1, 1]),
        ('enhanced', [0, 1, 1, 1, 1, 1]),
        ('positives', [0, 1, 0, 0, 0, 1]),
        ('original', [1, 0, 0, 0, 0, 0]),
        ('original+positives', [1, 1, 0, 0, 0, 1]),
        ('positives-else-original', [0, 1, 0, 0, 0, 1]),
    ],
)
def test_candidate_sets_follow_the_labels(candidates, allowed):
    answers = ArgmaxSampler(candidates=candidates).allowed_candidates(LABELS)
    assert answers == [bool(x) for x in allowed]
    assert all(type(answer) is bool for answer in answers)


@pytest.mark.parametrize('candidates', ['positives', 'original+positives'])
def test_positives_without_labels_name_the_way_out(candidates):
    with pytest.raises(ValueError, match=r'Use `candidates: enhanced` .* or give labels'):
        UniformSampler(candidates=candidates).allowed_candidates([Label.ORIGINAL, None, None])


def test_sets_without_labels_need_none():
    assert UniformSampler(candidates='enhanced').allowed_candidates([None] * 3) == [0, 1, 1]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'type': 'ArgmaxSampler', 'top_k': 0}, 'top_k is 0'),
        ({'type': 'ArgmaxSampler', 'margin': -1.0}, 'margin is -1'),
        ({'type': 'ArgmaxSampler', 'margin': NAN}, 'margin is nan'),
        ({'type': 'UniformSampler', 'candidates': 'best'}, "candidates is 'best'"),
        ({'type': 'SoftmaxSampler', 'temperature': 0.0}, 'temperature is 0'),
        ({'type': 'SoftmaxSampler', 'temperature': INF}, 'temperature is inf'),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(GT_SAMPLER_REGISTRY, options)


def test_needs_quality_tells_whether_scores_matter():
    assert not UniformSampler().needs_quality
    assert SoftmaxSampler(1.0).needs_quality
    assert ArgmaxSampler().needs_quality
    assert UniformSampler(top_k=2).needs_quality


def test_perplexity_counts_equally_likely_candidates():
    p = torch.tensor([[0.25, 0.25, 0.25, 0.25], [1.0, 0, 0, 0], [0.9, 0.1, 0, 0]])
    by_hand = 0.9**-0.9 * 0.1**-0.1
    torch.testing.assert_close(perplexity(p), torch.tensor([4.0, 1.0, by_hand]))
