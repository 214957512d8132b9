import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from iqasr.registry import GT_SAMPLER_REGISTRY, build
from iqasr.runtime.randomness import generator_at
from iqasr.sampling import ArgmaxSampler, SoftmaxSampler, UniformSampler, base, perplexity
from iqasr.sampling.labels import Label

INF, NAN = math.inf, math.nan
SAMPLERS = [UniformSampler(), SoftmaxSampler(temperature=2.0), ArgmaxSampler()]
every_sampler = pytest.mark.parametrize('sampler', SAMPLERS, ids=lambda s: type(s).__name__)


def some_quality(rows=64, count=5):
    quality = torch.randn(rows, count, generator=generator_at('quality')) * 3
    absent = torch.rand(rows, count, generator=generator_at('absent')) < 0.3
    absent[:, 2] = False
    return quality.masked_fill(absent, -INF)


@every_sampler
def test_probabilities_sum_to_one_and_are_zero_where_absent(sampler):
    quality = some_quality()
    probabilities = sampler.probabilities(quality)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(64))
    assert (probabilities[quality == -INF] == 0).all()


@every_sampler
def test_probabilities_follow_a_permutation_of_candidates(sampler):
    quality, order = some_quality(), torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(
        sampler.probabilities(quality[:, order]), sampler.probabilities(quality)[:, order]
    )


@every_sampler
def test_nan_excludes_a_candidate(sampler):
    with_nan = sampler.probabilities(torch.tensor([[1.0, NAN, 2.0]]))
    with_absent = sampler.probabilities(torch.tensor([[1.0, -INF, 2.0]]))
    assert torch.equal(with_nan, with_absent)


@every_sampler
def test_rows_without_any_score_are_uniform_over_the_present(sampler):
    probabilities = sampler.probabilities(torch.tensor([[NAN, -INF, NAN, -INF, NAN]]))
    torch.testing.assert_close(probabilities, torch.tensor([[1, 0, 1, 0, 1]]) / 3)


@every_sampler
def test_row_without_candidates_is_refused_by_its_number(sampler):
    with pytest.raises(ValueError, match=r'no candidate .* Rows of the batch: \[1\]'):
        sampler.probabilities(torch.tensor([[0.0, 1.0], [-INF, -INF]]))


def test_top_k_keeps_the_best():
    quality = torch.tensor([[1.0, 4.0, 3.0, 2.0], [-INF, NAN, 7.0, -INF]])
    expected = torch.tensor([[0, 0.5, 0.5, 0], [0, 0, 1, 0]])
    assert torch.equal(UniformSampler(top_k=2).probabilities(quality), expected)


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


def test_single_candidate_is_certain():
    for sampler in (*SAMPLERS, ArgmaxSampler(top_k=3, margin=1.0)):
        assert sampler.probabilities(torch.tensor([[7.0], [NAN]])).tolist() == [[1.0], [1.0]]


def test_samples_have_the_frequencies_of_the_probabilities():
    quality = torch.tensor([[0.0, 1.0, -INF, 2.0]])
    sampler = SoftmaxSampler(temperature=1.0)
    drawn = sampler.sample(quality.expand(40000, 4), generator_at('frequencies'))
    frequencies = drawn.bincount(minlength=4) / 40000
    torch.testing.assert_close(frequencies, sampler.probabilities(quality)[0], atol=0.01, rtol=0)


def test_samples_repeat_with_the_generator_and_advance_it():
    quality = some_quality()
    first, again = (SAMPLERS[1].sample(quality, generator_at('repeat')) for _ in range(2))
    generator = generator_at('repeat')
    SAMPLERS[1].sample(quality, generator)
    assert first.dtype == torch.int64
    assert torch.equal(first, again)
    assert not torch.equal(first, SAMPLERS[1].sample(quality, generator))


@pytest.mark.parametrize('uniform', [0.0, 1 - 2**-24])
def test_samples_avoid_zero_probability_at_the_ends(monkeypatch, uniform):
    monkeypatch.setattr(
        torch, 'rand', lambda *size, generator: torch.full(size, uniform, dtype=torch.float32)
    )
    quality = some_quality(rows=2000, count=7)
    quality[:, [0, 6]] = -INF
    for sampler in SAMPLERS:
        drawn = sampler.sample(quality, generator_at('ends'))
        assert (sampler.probabilities(quality).gather(1, drawn[:, None]) > 0).all()


class NoHostSync(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func not in (
            torch.ops.aten._local_scalar_dense.default,
            torch.ops.aten.nonzero.default,
        )
        return func(*args, **(kwargs or {}))


def test_sampling_never_reads_a_value_back_from_the_device(monkeypatch):
    monkeypatch.setattr(base, '_refuse_empty', lambda has_candidate: None)
    quality = some_quality()
    for sampler in (*SAMPLERS, SoftmaxSampler(1.0, top_k=2, margin=0.1)):
        with NoHostSync():
            drawn = sampler.sample(quality, generator_at('sync'))
        assert drawn.shape == (64,)


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
    assert [type(s).needs_quality for s in SAMPLERS] == [False, True, True]
    assert not UniformSampler().needs_quality
    assert UniformSampler(top_k=2).needs_quality


def test_perplexity_counts_equally_likely_candidates():
    p = torch.tensor([[0.25, 0.25, 0.25, 0.25], [1.0, 0, 0, 0], [0.9, 0.1, 0, 0]])
    by_hand = 0.9**-0.9 * 0.1**-0.1
    torch.testing.assert_close(perplexity(p), torch.tensor([4.0, 1.0, by_hand]))
