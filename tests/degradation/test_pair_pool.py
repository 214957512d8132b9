import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from iqasr.degradation import PairPool, from_uint8, to_uint8
from iqasr.runtime.randomness import generator_at


def pairs(*names):
    """One-pixel pairs: the lq is its name / 255, the gt (255 - name) / 255."""
    lq = torch.tensor(names, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 3, 1, 1)
    return {'lq': lq / 255, 'gt': (255 - lq).repeat(1, 1, 2, 2) / 255}


def names(images):
    return [round(value * 255) for value in images[:, 0, 0, 0].tolist()]


def filled(size=12, batch=4):
    pool = PairPool(size)
    for start in range(0, size, batch):
        pool.exchange(pairs(*range(start, start + batch)), generator_at(start))
    return pool


def test_8_bit_round_trip_is_bit_identical():
    values = torch.arange(256, dtype=torch.float32) / 255
    assert torch.equal(from_uint8(to_uint8(values)), values)


def test_pool_returns_its_input_while_filling():
    pool = PairPool(8)
    for start in (0, 4):
        batch = pairs(*range(start, start + 4))
        given = pool.exchange(batch, generator_at(0))
        assert given['lq'] is batch['lq']
        assert given['gt'] is batch['gt']
    assert set(names(pool.exchange(pairs(8, 9, 10, 11), generator_at(0))['lq'])) < set(range(8))


def test_nothing_is_lost_and_pairs_stay_together():
    pool = filled()
    out = []
    for start in range(12, 212, 4):
        given = pool.exchange(pairs(*range(start, start + 4)), generator_at(start))
        drawn = names(given['lq'])
        assert given['lq'].dtype == given['gt'].dtype == torch.float32
        assert torch.equal(given['gt'], pairs(*drawn)['gt'])
        out += drawn
    held = names(from_uint8(pool.held['lq']))
    assert sorted(out + held) == list(range(212))
    assert pool.held['gt'].dtype == torch.uint8


def with_negatives(*names):
    """Pairs with a negative, and a map that 8 bits cannot hold."""
    batch = pairs(*names)
    weight = batch['lq'][:, :1] ** 3 / 7
    return batch | {'negative': batch['gt'] / 255 * 51, 'negative_weight': weight}


def test_negatives_stay_with_their_pairs_and_maps_are_exact():
    plain, pool = filled(), PairPool(12)
    for start in range(0, 60, 4):
        batch = with_negatives(*range(start, start + 4))
        batch['negative'] = from_uint8(to_uint8(batch['negative']))
        given = pool.exchange(batch, generator_at(start))
        if start >= 12:
            expected = plain.exchange(pairs(*range(start, start + 4)), generator_at(start))
            own = with_negatives(*names(expected['lq']))
            assert torch.equal(given['gt'], expected['gt'])
            assert torch.equal(given['negative_weight'], own['negative_weight'])
            assert torch.equal(given['negative'], from_uint8(to_uint8(own['negative'])))


def test_every_slot_is_equally_likely():
    pool = filled()
    state = pool.state_dict()
    counts = torch.zeros(12)
    for trial in range(1500):
        pool.load_state_dict(state)
        drawn = names(pool.exchange(pairs(90, 91, 92, 93), generator_at('slots', trial))['lq'])
        assert len(set(drawn)) == 4
        counts[drawn] += 1
    # 500 expected in each slot; chi-square with 11 degrees of freedom, 99.9 % quantile
    assert ((counts - 500) ** 2 / 500).sum() < 31.3


@pytest.mark.parametrize('rounds', [2, 5])
def test_restored_pool_continues_identically(rounds):
    def run(pool, begin, end):
        out = []
        for k in range(begin, end):
            batch = pairs(*range(4 * k, 4 * k + 4))
            out += pool.exchange(batch, generator_at(k)).values()
        return out

    pool = PairPool(12)
    run(pool, 0, rounds)
    state = pool.state_dict()
    straight = run(pool, rounds, 12)
    restored = PairPool(12)
    restored.load_state_dict(state)
    for one, other in zip(straight, run(restored, rounds, 12), strict=True):
        assert torch.equal(one, other)
    assert pool.held.keys() == restored.held.keys() == {'lq', 'gt'}
    assert all(torch.equal(held, restored.held[name]) for name, held in pool.held.items())


def test_state_of_an_empty_pool_of_two_tensors_is_loaded():
    pool, empty = PairPool(4), torch.empty(0, dtype=torch.uint8)
    pool.load_state_dict({'lq': empty, 'gt': empty})
    assert names(pool.exchange(pairs(0, 1, 2, 3), generator_at(0))['lq']) == [0, 1, 2, 3]


def test_state_is_on_the_cpu_wherever_the_pool_is():
    with FakeTensorMode():
        pool = PairPool(4)
        held = torch.empty(4, 3, 1, 1, dtype=torch.uint8, device='cuda')
        pool.held = {'lq': held, 'gt': held}
        assert {tensor.device.type for tensor in pool.state_dict().values()} == {'cpu'}


def test_state_is_a_copy():
    pool = filled()
    before = pool.state_dict()
    held = before['lq'].clone()
    pool.exchange(pairs(90, 91, 92, 93), generator_at(0))
    assert torch.equal(before['lq'], held)


def test_batch_size_that_does_not_divide_the_size_is_refused():
    with pytest.raises(ValueError, match=r'10 pairs in the pool.* batches of 4'):
        PairPool(10).exchange(pairs(0, 1, 2, 3), generator_at(0))


def test_batch_that_overfills_the_pool_is_refused():
    pool = PairPool(12)
    pool.exchange(pairs(0, 1, 2, 3), generator_at(0))
    with pytest.raises(ValueError, match=r'12 pairs in the pool, 4 of them filled.* batches of 6'):
        pool.exchange(pairs(*range(6)), generator_at(0))


def test_another_crop_size_is_refused():
    batch = pairs(0, 1, 2, 3)
    batch['gt'] = batch['gt'].repeat(1, 1, 2, 2)
    with pytest.raises(ValueError, match=r"'gt': \(3, 4, 4\)} cannot .*'gt': \(3, 2, 2\)}"):
        filled().exchange(batch, generator_at(0))


def test_samples_of_other_parts_are_refused():
    with pytest.raises(ValueError, match=r"'negative_weight': .* cannot be exchanged"):
        filled().exchange(with_negatives(0, 1, 2, 3), generator_at(0))


def test_checkpoint_of_a_larger_pool_is_refused():
    with pytest.raises(ValueError, match='has 8 slots, but the checkpoint holds 12'):
        PairPool(8).load_state_dict(filled().state_dict())


def test_size_without_a_slot_is_refused():
    with pytest.raises(ValueError, match='size: 0 is not positive'):
        PairPool(0)
