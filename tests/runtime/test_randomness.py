import torch

from iqasr.runtime.randomness import fork, generator_at, seed_of


def test_seed_is_the_same_everywhere():
    assert seed_of(0, 'item', 7) == 272771161068036207


def test_places_do_not_collide():
    seeds = {seed_of(s, w, p) for s in range(10) for w in ('item', 'degrade') for p in range(500)}
    assert len(seeds) == 10_000


def test_generator_depends_on_every_part_of_the_place():
    places = [(0, 'a', 1), (1, 'a', 1), (0, 'b', 1), (0, 'a', 2)]
    draws = {tuple(torch.rand(4, generator=generator_at(*place)).tolist()) for place in places}
    assert len(draws) == 4


def test_fork_advances_the_parent_and_repeats():
    first, second = generator_at(1), generator_at(1)
    a = torch.rand(3, generator=fork(first, 'cpu'))
    b = torch.rand(3, generator=fork(first, 'cpu'))
    assert torch.equal(a, torch.rand(3, generator=fork(second, 'cpu')))
    assert not torch.equal(a, b)


def test_global_generators_are_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    fork(generator_at(0, 'x'), 'cpu')
    assert torch.equal(torch.rand(2), expected)
