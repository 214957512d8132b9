"""Properties of every registered policy; a new one is tested without being listed."""

import math

import pytest
import torch
from registered import build_example, names_of_iqasr
from torch.utils._python_dispatch import TorchDispatchMode

from iqasr.options.schema import schema_names
from iqasr.registry import GT_SAMPLER_REGISTRY
from iqasr.runtime.randomness import generator_at
from iqasr.sampling import GTSampler, base

INF, NAN = math.inf, math.nan


@pytest.fixture(params=names_of_iqasr(GT_SAMPLER_REGISTRY))
def name(request):
    return request.param


@pytest.fixture
def sampler(name):
    return build_example(GT_SAMPLER_REGISTRY, name)


@pytest.fixture
def choosy(name):
    """The policy with the options that all policies have in common."""
    common = {'top_k': 2, 'margin': 0.1}
    if not common.keys() <= set(schema_names(GT_SAMPLER_REGISTRY.get(name))):
        pytest.skip(f'{name}: takes no top_k and margin')
    return build_example(GT_SAMPLER_REGISTRY, name, common)


def some_quality(rows=64, count=5):
    quality = torch.randn(rows, count, generator=generator_at('quality')) * 3
    absent = torch.rand(rows, count, generator=generator_at('absent')) < 0.3
    absent[:, 2] = False
    return quality.masked_fill(absent, -INF)


def test_probabilities_sum_to_one_and_are_zero_where_absent(sampler):
    quality = some_quality()
    probabilities = sampler.probabilities(quality)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(64))
    assert (probabilities >= 0).all()
    assert (probabilities[quality == -INF] == 0).all()


def test_probabilities_follow_a_permutation_of_candidates(sampler):
    quality, order = some_quality(), torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(
        sampler.probabilities(quality[:, order]), sampler.probabilities(quality)[:, order]
    )


@pytest.mark.parametrize('unknown', [NAN, INF])
def test_a_candidate_without_a_score_is_excluded_where_scores_matter(sampler, unknown):
    found = sampler.probabilities(torch.tensor([[1.0, unknown, 2.0]]))
    same_as = -INF if sampler.needs_quality else 0.0
    assert torch.equal(found, sampler.probabilities(torch.tensor([[1.0, same_as, 2.0]])))


def test_rows_without_any_score_are_uniform_over_the_present(sampler):
    probabilities = sampler.probabilities(torch.tensor([[NAN, -INF, NAN, -INF, NAN]]))
    torch.testing.assert_close(probabilities, torch.tensor([[1, 0, 1, 0, 1]]) / 3)


def test_row_without_candidates_is_refused_by_its_number(sampler):
    with pytest.raises(ValueError, match=r'no candidate .* Rows of the batch: \[1\]'):
        sampler.probabilities(torch.tensor([[0.0, 1.0], [-INF, -INF]]))


def test_single_candidate_is_certain(sampler):
    assert sampler.probabilities(torch.tensor([[7.0], [NAN]])).tolist() == [[1.0], [1.0]]


def test_single_candidate_is_certain_with_the_common_options(choosy):
    assert choosy.probabilities(torch.tensor([[7.0], [NAN]])).tolist() == [[1.0], [1.0]]


def test_top_k_leaves_the_best_only(choosy):
    quality = some_quality()
    probabilities = choosy.probabilities(quality)
    second = quality.topk(2, dim=1).values[:, 1:]
    torch.testing.assert_close(probabilities.sum(1), torch.ones(64))
    assert (probabilities[quality < second] == 0).all()


def test_margin_makes_a_close_choice_uniform(choosy):
    probabilities = choosy.probabilities(torch.tensor([[1.0, 2.0, 2.05, -INF]]))
    assert probabilities.tolist() == [[0, 0.5, 0.5, 0]]


def test_samples_have_the_frequencies_of_the_probabilities(sampler):
    quality = torch.tensor([[0.0, 1.0, -INF, 2.0]])
    drawn = sampler.sample(quality.expand(40000, 4), generator_at('frequencies'))
    frequencies = drawn.bincount(minlength=4) / 40000
    torch.testing.assert_close(frequencies, sampler.probabilities(quality)[0], atol=0.01, rtol=0)


def test_samples_repeat_with_the_generator_and_advance_it(sampler):
    quality, generator = some_quality(), generator_at('repeat')
    first, again = (sampler.sample(quality, generator_at('repeat')) for _ in range(2))
    assert first.dtype == torch.int64
    assert torch.equal(first, again)
    assert torch.equal(first, sampler.sample(quality, generator))
    assert not torch.equal(generator.get_state(), generator_at('repeat').get_state())


@pytest.mark.parametrize('uniform', [0.0, 1 - 2**-24])
def test_samples_avoid_zero_probability_at_the_ends(sampler, monkeypatch, uniform):
    monkeypatch.setattr(
        torch, 'rand', lambda *size, generator: torch.full(size, uniform, dtype=torch.float32)
    )
    quality = some_quality(rows=2000, count=7)
    quality[:, [0, 6]] = -INF
    drawn = sampler.sample(quality, generator_at('ends'))
    assert (sampler.probabilities(quality).gather(1, drawn[:, None]) > 0).all()


class NoHostSync(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func not in (
            torch.ops.aten._local_scalar_dense.default,
            torch.ops.aten.nonzero.default,
        )
        return func(*args, **(kwargs or {}))


def test_sampling_never_reads_a_value_back_from_the_device(sampler, monkeypatch):
    monkeypatch.setattr(base, '_require_candidates', lambda has_candidate: None)
    quality = some_quality()
    with NoHostSync():
        assert sampler.sample(quality, generator_at('sync')).shape == (64,)


def test_sampling_with_the_common_options_never_reads_a_value_back(choosy, monkeypatch):
    test_sampling_never_reads_a_value_back_from_the_device(choosy, monkeypatch)


class AbsentSampler(GTSampler):
    """A faulty policy, which draws absent candidates; it has an argument without default."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def _probabilities(self, quality):
        return torch.full_like(quality, self.strength / quality.shape[1])


def test_faulty_policy_is_found_without_being_listed(monkeypatch):
    monkeypatch.setitem(GT_SAMPLER_REGISTRY._obj_map, 'AbsentSampler', AbsentSampler)
    faulty = build_example(GT_SAMPLER_REGISTRY, 'AbsentSampler')
    with pytest.raises(AssertionError):
        test_probabilities_sum_to_one_and_are_zero_where_absent(faulty)
