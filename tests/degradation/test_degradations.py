import pytest
import torch

from iqasr.degradation import Degradation, FirstOrderDegradation, SecondOrderDegradation, stages
from iqasr.registry import DEGRADATION_REGISTRY, build
from iqasr.runtime.randomness import generator_at

EVERY = ['BicubicDegradation', 'FirstOrderDegradation', 'SecondOrderDegradation']
RANDOM = EVERY[1:]


def make(name, scale=4, **options):
    return build(DEGRADATION_REGISTRY, {'type': name, **options}, scale=scale)


def psnr_db(lq, reference):
    return -10 * (lq - reference).square().mean().log10().item()


@pytest.mark.parametrize('name', EVERY)
@pytest.mark.parametrize(
    ('scale', 'size'), [(4, (36, 52)), (3, (33, 45)), (2, (34, 22)), (1, (17, 19))]
)
def test_output_has_the_reduced_size_and_8_bit_values(name, scale, size, photograph):
    original = photograph[..., : size[0], : size[1]]
    untouched = original.clone()
    for place in range(4):
        lq = make(name, scale)(original, generator_at(place))
        assert lq.shape == (2, 3, size[0] // scale, size[1] // scale)
        assert lq.dtype == torch.float32
        assert lq.is_contiguous()
        assert 0 <= lq.min() <= lq.max() <= 1
        assert torch.equal((lq * 255).round() / 255, lq)
    assert torch.equal(original, untouched)


@pytest.mark.parametrize('name', EVERY)
def test_same_generator_state_gives_the_same_lq(name, photograph):
    degradation = make(name)
    first = [degradation(photograph, generator_at('same', k)) for k in range(4)]
    again = [degradation(photograph, generator_at('same', k)) for k in range(4)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize('name', RANDOM)
def test_another_generator_state_gives_another_lq(name, photograph):
    degradation = make(name)
    drawn = [degradation(photograph, generator_at('other', k)) for k in range(4)]
    assert not any(torch.equal(drawn[0], other) for other in drawn[1:])


@pytest.mark.parametrize('name', RANDOM)
def test_global_generator_is_left_alone(name, photograph):
    state = torch.get_rng_state()
    for place in range(4):
        make(name)(photograph, generator_at(place))
    assert torch.equal(torch.get_rng_state(), state)


def test_no_gradient_is_recorded():
    class Probe(Degradation):
        def degrade(self, original, size, generator):
            self.result = original * 2
            return original

    probe = Probe(scale=1)
    probe(torch.zeros(1, 3, 2, 2, requires_grad=True), generator_at(0))
    assert not probe.result.requires_grad


@pytest.mark.parametrize('name', EVERY)
def test_size_that_the_scale_does_not_divide_is_refused(name):
    with pytest.raises(ValueError, match='33 x 40 px is not divisible by scale 4'):
        make(name)(torch.zeros(1, 3, 33, 40), generator_at(0))


@pytest.mark.parametrize('name', RANDOM)
@pytest.mark.parametrize('place', range(6))
def test_nothing_is_read_back_from_the_device(name, place, monkeypatch):
    # reading a value of a tensor on the meta device raises
    monkeypatch.setattr(stages, 'fork', lambda *_: None)
    original = torch.empty(2, 3, 64, 96, device='meta')
    lq = make(name)(original, generator_at('meta', place))
    assert lq.shape == (2, 3, 16, 24)
    assert lq.device.type == 'meta'


@pytest.mark.parametrize(
    ('field', 'mild', 'strong'),
    [
        ('noise_range', [1, 1], [25, 25]),
        ('jpeg_range', [95, 95], [10, 10]),
        ('blur_sigma', [0.2, 0.2], [3, 3]),
    ],
)
def test_stronger_degradation_lowers_psnr(field, mild, strong, photograph):
    rest = {'resize_prob': {'keep': 1}, 'gaussian_noise_prob': 1, 'sinc_prob': 0}
    rest |= {'blur_kernel_size': [21, 21], 'noise_range': [1, 1], 'jpeg_range': [95, 95]}
    psnr = []
    for values in (mild, strong):
        degradation = FirstOrderDegradation(scale=1, stage=rest | {field: values})
        psnr.append(psnr_db(degradation(photograph, generator_at(0)), photograph))
    assert psnr[0] > psnr[1] + 3


def test_second_order_is_harsher_than_first_order(photograph):
    clean = make('BicubicDegradation')(photograph, generator_at(0))
    mean = {}
    for name in RANDOM:
        drawn = [psnr_db(make(name)(photograph, generator_at(k)), clean) for k in range(12)]
        mean[name] = sum(drawn) / len(drawn)
    assert mean['FirstOrderDegradation'] > mean['SecondOrderDegradation'] + 3


def test_hggts_two_stages_are_milder_than_real_esrgans(photograph):
    common = {'kernel_prob': {'iso': 0.7, 'aniso': 0.3}, 'sinc_prob': 0.01}
    common |= {'resize_prob': {'up': 0.1, 'down': 0.85, 'keep': 0.05}, 'resize_range': [0.9, 1.1]}
    first = {'blur_kernel_size': [3, 7], 'blur_sigma': [0.1, 0.6], 'noise_range': [1, 8]}
    first |= {'poisson_scale_range': [0.05, 0.5], 'gray_noise_prob': 0.2, 'jpeg_range': [85, 95]}
    second = {'blur_kernel_size': [3, 5], 'blur_sigma': [0.1, 0.4], 'noise_range': [0, 4]}
    second |= {'poisson_scale_range': [0, 0.3], 'gray_noise_prob': 0.2, 'jpeg_range': [87, 95]}
    hggt = SecondOrderDegradation(
        scale=4,
        first=common | first,
        second=common | second,
        final_sinc={'prob': 0.1, 'kernel_size': [3, 5]},
    )
    published = SecondOrderDegradation(scale=4)
    clean = make('BicubicDegradation')(photograph, generator_at(0))
    mild = sum(psnr_db(hggt(photograph, generator_at(k)), clean) for k in range(12)) / 12
    harsh = sum(psnr_db(published(photograph, generator_at(k)), clean) for k in range(12)) / 12
    assert mild > harsh + 3


@pytest.mark.parametrize('name', EVERY)
def test_no_value_of_an_image_is_read_back(name, monkeypatch):
    """Where images have no values, reading one fails, as it would wait on a GPU."""
    monkeypatch.setattr(stages, 'fork', lambda generator, device: None)
    original = torch.empty(2, 3, 64, 96, device='meta')
    for place in range(20):
        assert make(name)(original, generator_at(place)).shape == (2, 3, 16, 24)
