import pytest
import torch
import torch.nn.functional as F
from basicsr.data.degradations import bivariate_Gaussian
from basicsr.utils.diffjpeg import DiffJPEG
from basicsr.utils.img_process_util import filter2D

from iqasr.degradation import (
    FirstOrderDegradation,
    FirstStage,
    SecondOrderDegradation,
    SecondStage,
    SingleStage,
    first_order,
    second_order,
    stages,
)
from iqasr.degradation.kernels import draw_blur_kernels
from iqasr.degradation.stages import (
    blur,
    draw_factor,
    draw_mode,
    random_blur,
    random_jpeg,
    random_noise,
)
from iqasr.runtime.randomness import generator_at

PLAIN = {
    'kernel_prob': {'iso': 1},
    'sinc_prob': 0,
    'blur_prob': 1,
    'resize_prob': {'keep': 1},
    'gaussian_noise_prob': 1,
    'noise_range': [0, 0],
    'jpeg': 'diff',
}


def test_blur_equals_filter2d(photograph):
    kernels = draw_blur_kernels(FirstStage(), 2, generator_at('blur'))
    expected = filter2D(photograph, kernels.float())
    torch.testing.assert_close(blur(photograph, kernels), expected, rtol=0, atol=1e-6)


def test_blur_of_images_smaller_than_the_kernel_keeps_a_constant():
    image = torch.full((2, 3, 6, 40), 0.3)
    kernels = draw_blur_kernels(FirstStage(blur_kernel_size=(21, 21)), 2, generator_at('small'))
    torch.testing.assert_close(blur(image, kernels), image)


def test_stronger_blur_lowers_psnr(photograph):
    errors = []
    for sigma in (0.3, 0.6, 1.2, 2.4):
        kernel = torch.tensor(bivariate_Gaussian(21, sigma, sigma, 0))
        errors.append((blur(photograph, kernel.expand(2, 21, 21)) - photograph).square().mean())
    assert errors == sorted(errors)


@pytest.mark.parametrize(('prob', 'changes'), [(0.0, False), (1.0, True)])
def test_blur_probability(photograph, prob, changes):
    stage = SecondStage(blur_prob=prob)
    given = random_blur(photograph, stage, generator_at('blur'))
    assert torch.equal(given, photograph) != changes


@pytest.mark.parametrize('stage', [FirstStage(), SecondStage(), SingleStage()])
def test_resize_factors_spread_over_their_range(stage):
    generator = generator_at('factors')
    factors = torch.tensor([draw_factor(stage, generator) for _ in range(200)])
    low, high = stage.resize_range
    assert low <= factors.min() < low + 0.1 * (1 - low)
    assert high >= factors.max() > high - 0.25 * (high - 1)
    for name, share in (('up', factors > 1), ('down', factors < 1), ('keep', factors == 1)):
        assert share.float().mean() == pytest.approx(stage.resize_prob[name], abs=0.12)


def test_modes_are_equally_likely():
    generator = generator_at('modes')
    drawn = [draw_mode(generator) for _ in range(600)]
    for mode in ('area', 'bilinear', 'bicubic'):
        assert drawn.count(mode) == pytest.approx(200, abs=46)  # 4 standard deviations


@pytest.mark.parametrize('stage', [FirstStage(), SecondStage(), SingleStage()])
def test_noise_and_jpeg_levels_spread_over_their_ranges(stage, monkeypatch):
    seen = {}

    def record(name):
        def stand_in(image, level, *_):
            seen[name] = level
            return image

        return stand_in

    for name in ('gaussian_noise', 'poisson_noise', 'jpeg'):
        monkeypatch.setattr(stages, name, record(name))
    image = torch.zeros(200, 3, 1, 1)
    for prob in (0.0, 1.0):
        random_noise(image, stage.model_copy(update={'gaussian_noise_prob': prob}), generator_at(0))
    random_jpeg(image, stage, generator_at(0))
    ranges = {
        'gaussian_noise': stage.noise_range,
        'poisson_noise': stage.poisson_scale_range,
        'jpeg': stage.jpeg_range,
    }
    for name, (low, high) in ranges.items():
        assert seen[name].shape == (200,)
        assert low <= seen[name].min() < low + 0.05 * (high - low)
        assert high >= seen[name].max() > high - 0.05 * (high - low)


def test_grey_noise_probability(monkeypatch):
    image = torch.full((1000, 3, 1, 2), 0.5)
    noisy = random_noise(image, FirstStage(gaussian_noise_prob=1), generator_at('grey'))
    grey = (noisy[:, 0] == noisy[:, 1]).all((1, 2))
    assert grey.float().mean() == pytest.approx(0.4, abs=0.062)  # 4 standard deviations


def test_noise_type_is_drawn_per_batch_with_its_probability(monkeypatch):
    monkeypatch.setattr(stages, 'poisson_noise', lambda *_: 'poisson')
    monkeypatch.setattr(stages, 'gaussian_noise', lambda *_: 'gaussian')
    generator = generator_at('type')
    stage = SingleStage(gaussian_noise_prob=0.25)
    drawn = [random_noise(torch.zeros(2, 3, 1, 1), stage, generator) for _ in range(400)]
    assert drawn.count('gaussian') == pytest.approx(100, abs=35)  # 4 standard deviations


@pytest.mark.parametrize('mode', ['area', 'bilinear', 'bicubic'])
def test_first_order_equals_basicsr_stages_in_hggts_order(photograph, monkeypatch, mode):
    monkeypatch.setattr(first_order, 'draw_mode', lambda _: mode)
    monkeypatch.setattr(first_order, 'draw_factor', lambda *_: 0.87)
    fixed = {'blur_kernel_size': [7, 7], 'blur_sigma': [0.9, 0.9], 'jpeg_range': [80, 80]}
    degradation = FirstOrderDegradation(scale=4, stage=PLAIN | fixed)
    given = degradation(photograph, generator_at(0))

    kernel = torch.tensor(bivariate_Gaussian(7, 0.9, 0.9, 0), dtype=torch.float32)
    image = filter2D(photograph, kernel.expand(2, 7, 7))
    image = F.interpolate(image, scale_factor=0.87, mode=mode).clamp(0, 1)
    padded = F.pad(image, (0, 13, 0, 9), mode='replicate')
    with torch.no_grad():
        image = DiffJPEG(differentiable=False)(padded, 80)[..., :55, :83]
    image = F.interpolate(image, size=(16, 24), mode=mode)
    expected = torch.clamp((image * 255).round(), 0, 255) / 255
    assert_equal_but_for_rounding(given, expected)


@pytest.mark.parametrize('sinc_first', [True, False])
def test_second_order_equals_basicsr_stages_in_real_esrgans_order(
    photograph, monkeypatch, sinc_first
):
    monkeypatch.setattr(second_order, 'draw_mode', lambda _: 'bicubic')
    factors = {FirstStage: 1.0, SecondStage: 4 / 3}
    monkeypatch.setattr(second_order, 'draw_factor', lambda stage, _: factors[type(stage)])
    monkeypatch.setattr(second_order, 'happens', lambda *_: sinc_first)
    sizes = {'blur_kernel_size': [7, 7]}
    first = PLAIN | sizes | {'blur_sigma': [1.5, 1.5], 'jpeg_range': [70, 70]}
    second = PLAIN | sizes | {'blur_sigma': [0.5, 0.5], 'jpeg_range': [40, 40]}
    degradation = SecondOrderDegradation(
        scale=2, first=first, second=second, final_sinc={'prob': 0.0}
    )
    given = degradation(photograph, generator_at(0))

    def filtered(image, sigma):
        kernel = torch.tensor(bivariate_Gaussian(7, sigma, sigma, 0), dtype=torch.float32)
        return filter2D(image.contiguous(), kernel.expand(2, 7, 7))

    jpeger = DiffJPEG(differentiable=False).requires_grad_(False)
    image = jpeger(filtered(photograph, 1.5).clamp(0, 1), 70)
    image = F.interpolate(filtered(image, 0.5), size=(42, 64), mode='bicubic').clamp(0, 1)
    if sinc_first:
        image = F.interpolate(image, size=(32, 48), mode='bicubic')
        image = jpeger(image.clamp(0, 1), 40)
    else:
        image = jpeger(F.pad(image, (0, 0, 0, 6), mode='replicate'), 40)[..., :42, :]
        image = F.interpolate(image, size=(32, 48), mode='bicubic')
    expected = torch.clamp((image * 255).round(), 0, 255) / 255
    assert_equal_but_for_rounding(given, expected)


def assert_equal_but_for_rounding(given, expected):
    assert given.shape == expected.shape
    assert (given - expected).abs().max() <= 1.01 / 255
    assert (given != expected).float().mean() < 1e-3
