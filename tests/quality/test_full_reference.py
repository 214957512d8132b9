"""LPIPS, ST-LPIPS and DISTS, compared with computations that share no code with them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from iqasr.metrics import build_metric
from iqasr.quality import DISTSScorer, LPIPSScorer, STLPIPSScorer, run_self_test
from iqasr.runtime.randomness import generator_at

pytestmark = pytest.mark.usefixtures('random_weights')

PLANS = {
    'vgg': 'c c t m c c t m c c c t m c c c t m c c c t',
    'vgg blurred': 'c c t 2 b c c t 2 b c c c t 2 b c c c t 2 b c c c t',
    'vgg squared': 'c c t l c c t l c c c t l c c c t l c c c t',
    'alex': '4 t M c t M c t c t c t',
    'alex blurred': '1 t 3 b c t 3 b c t c t c t',
}
"""c: convolution and ReLU, t: compare, other letters: see `features_plainly`."""

SCORERS = {
    'lpips': LPIPSScorer,
    'lpips-vgg': lambda: LPIPSScorer('vgg'),
    'stlpips': STLPIPSScorer,
    'stlpips-vgg': lambda: STLPIPSScorer('vgg'),
    'dists': DISTSScorer,
}
SIZES = [(64, 64), (33, 57), (97, 40)]


@pytest.fixture(params=SCORERS)
def scorer(request):
    return SCORERS[request.param]()


def pair(*size):
    place = generator_at('pair')
    image = torch.rand(2, 3, *size, generator=place, dtype=torch.float64)
    other = image + 0.2 * torch.randn(2, 3, *size, generator=place, dtype=torch.float64)
    return image, other.clamp(0, 1)


def features_plainly(plan, weights, image):
    """Features in double precision, from weights in the order of their layers."""
    layers = [(k, weights[k.replace('.bias', '.weight')]) for k in weights if k.endswith('.bias')]
    layers = iter((kernel.double(), weights[bias].double()) for bias, kernel in layers)
    mean, spread = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    x = (image - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(spread).view(3, 1, 1)
    line = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)

    def halve(x):
        kernel = (line[:, None] * line / 16).repeat(x.shape[1], 1, 1, 1)
        return F.conv2d(x, kernel, stride=2, groups=x.shape[1])

    def blur(x):
        return halve(F.pad(x, [2] * 4, 'reflect'))

    def convolve(x, **how):
        kernel, bias = next(layers)
        return F.conv2d(x, kernel, bias, **({'padding': kernel.shape[2] // 2} | how))

    steps = {
        'c': lambda x: convolve(x).relu(),
        '4': lambda x: convolve(x, stride=4, padding=2).relu(),
        '1': lambda x: blur(convolve(x, padding=2)).relu(),
        'm': lambda x: F.max_pool2d(x, 2),
        'M': lambda x: F.max_pool2d(x, 3, 2),
        '2': lambda x: F.max_pool2d(x, 2, 1),
        '3': lambda x: F.max_pool2d(x, 3, 1),
        'b': blur,
        'l': lambda x: (halve(F.pad(x**2, [1] * 4)) + 1e-12) ** 0.5,
    }
    found = []
    for letter in plan.split():
        if letter == 't':
            found.append(x)
        else:
            x = steps[letter](x)
    return found


def lpips_plainly(plan, weights, heads, image, reference):
    total = 0
    both = (features_plainly(plan, weights, i) for i in (image, reference))
    for head, x, y in zip(heads, *both, strict=True):
        x, y = (f / (f.square().sum(1, keepdim=True).sqrt() + 1e-10) for f in (x, y))
        total = total + F.conv2d((x - y) ** 2, head.double()).mean((1, 2, 3))
    return total


def assert_published(scorer, inputs, expected):
    published = scorer.published(scorer(*inputs))
    torch.testing.assert_close(published, expected.float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize(('net', 'backbone'), [('alex', 'alexnet'), ('vgg', 'vgg16')])
def test_lpips_is_as_computed_plainly(net, backbone, size, random_weights):
    heads = [random_weights('lpips')[f'{net}.lin{i}'] for i in range(5)]
    expected = lpips_plainly(PLANS[net], random_weights(backbone), heads, *pair(*size))
    assert_published(LPIPSScorer(net), pair(*size), expected)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('net', ['alex', 'vgg'])
def test_stlpips_is_as_computed_plainly(net, size, random_weights):
    weights = {k: v for k, v in random_weights('stlpips').items() if k.startswith(net)}
    heads = [weights[f'{net}.lin{i}.model.1.weight'] for i in range(5)]
    expected = lpips_plainly(PLANS[f'{net} blurred'], weights, heads, *pair(*size))
    assert_published(STLPIPSScorer(net), pair(*size), expected)


@pytest.mark.parametrize('size', SIZES)
def test_dists_is_as_computed_plainly(size, random_weights):
    image, reference = pair(*size)
    plan, weights = PLANS['vgg squared'], random_weights('vgg16')
    x, y = ([i, *features_plainly(plan, weights, i)] for i in (image, reference))
    alpha, beta = (random_weights('dists')[part].double().flatten() for part in ('alpha', 'beta'))
    total, start = 0, 0
    for f, g in zip(x, y, strict=True):
        channels = slice(start, start := start + f.shape[1])
        mf, mg, mfg = f.mean((2, 3)), g.mean((2, 3)), (f * g).mean((2, 3))
        vf, vg = f.var((2, 3), correction=0), g.var((2, 3), correction=0)
        means = (2 * mf * mg + 1e-6) / (mf**2 + mg**2 + 1e-6)
        structure = (2 * (mfg - mf * mg) + 1e-6) / (vf + vg + 1e-6)
        total = total + (alpha[channels] * means + beta[channels] * structure).sum(1)
    expected = 1 - total / (alpha.sum() + beta.sum())
    assert_published(DISTSScorer(), (image, reference), expected)


@pytest.mark.parametrize('net', ['alex', 'vgg'])
def test_lpips_is_that_of_its_package(net, monkeypatch):
    lpips = pytest.importorskip('lpips')
    package = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    backbone = {k.replace('slice', 'features.'): v for k, v in package.net.state_dict().items()}
    heads = {f'{net}.lin{i}': package.lins[i].model[-1].weight for i in range(5)}
    known = {'alexnet': backbone, 'vgg16': backbone, 'lpips': heads}
    monkeypatch.setattr('iqasr.quality.lpips.load_weights', known.get)
    image, reference = (i.float() for i in pair(61, 64))
    with torch.no_grad():
        expected = package(image, reference, normalize=True).flatten()
    assert_published(LPIPSScorer(net), (image, reference), expected)


def test_image_is_at_0_to_itself_where_the_gradient_is_0_too(scorer):
    for image in (pair(64, 64)[0].float(), torch.full((1, 3, 64, 64), 0.5)):
        output = image.clone().requires_grad_()
        quality = scorer(output, image)
        assert quality.abs().max() < 1e-7
        (gradient,) = torch.autograd.grad(quality.sum(), output)
        assert gradient.abs().max() < 1e-6


def test_gradient_is_finite_where_all_features_are_0(scorer):
    with torch.no_grad():
        for name, parameter in scorer.named_parameters():
            if name.endswith('bias'):
                parameter.fill_(-1e3)
    image, reference = (i.float() for i in pair(64, 64))
    quality = scorer(image.requires_grad_(), reference)
    assert torch.autograd.grad(quality.sum(), image)[0].isfinite().all()


def test_reference_has_no_gradient_and_every_pixel_of_the_image_has(scorer):
    image, reference = (i.float().requires_grad_() for i in pair(64, 64))
    total = scorer(image, reference).sum()
    gradients = torch.autograd.grad(total, [image, reference], allow_unused=True)
    inside = (image > 0) & (image < 1)
    assert (gradients[0][inside] != 0).float().mean() > 0.99
    assert gradients[1] is None


def test_quality_falls_with_the_distance(scorer):
    image, noisy = (i.float() for i in pair(64, 64))
    mixed = [scorer(image.lerp(noisy, t), image).mean() for t in (0, 0.25, 0.5, 1)]
    assert mixed == sorted(mixed, reverse=True)
    assert scorer.score_range == (-1, 0)


def test_self_test_passes(scorer):
    assert run_self_test(scorer, 64).gain > 0


def test_images_below_32_pixels_are_refused_and_32_suffice(scorer):
    image = torch.rand(1, 3, 32, 32, generator=generator_at(0))
    assert scorer(image, image).isfinite()
    with pytest.raises(ValueError, match='the image has 31x32 pixels'):
        scorer(image[..., :31, :], image[..., :31, :])


def test_images_of_two_sizes_are_refused(scorer):
    image = torch.rand(1, 3, 40, 32, generator=generator_at(0))
    with pytest.raises(ValueError, match='image and reference have 40x32 and 32x32 pixels'):
        scorer(image, image[..., :32, :])


def test_networks_differ_in_name_and_version():
    scorers = [make() for make in SCORERS.values()]
    assert [scorer.name for scorer in scorers] == list(SCORERS)
    assert len({scorer.version for scorer in scorers}) == 5


def test_metric_is_the_published_distance(photographs):
    image, other = photographs[:2]
    metric = build_metric('lpips', {'type': 'calculate_quality', 'scorer': {'type': 'LPIPSScorer'}})
    value = metric({'img': image, 'img2': other})
    planes = (np.ascontiguousarray(i[..., ::-1].transpose(2, 0, 1)) for i in (image, other))
    tensors = (torch.from_numpy(plane)[None] / 255 for plane in planes)
    assert value == pytest.approx(-LPIPSScorer()(*tensors).item(), rel=1e-5)
    assert (metric({'img': image, 'img2': image}), metric.arrow) == (0, '↓')
    assert metric.needs == ('img', 'img2')
