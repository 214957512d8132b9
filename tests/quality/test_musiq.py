"""Our computation of MUSIQ against pyiqa's own, with weights that make scores vary."""

import copy

import pytest
import torch

from iqasr.quality import PyIQAScorer
from iqasr.quality.musiq import FastMUSIQ
from iqasr.runtime.randomness import generator_at

pytest.importorskip('pyiqa')

SIZES = [(256, 256), (33, 47), (40, 150), (300, 200)]


def varied(metric='musiq', **options):
    """Build a MUSIQ whose weights are all random, biases and gains too, and its scores spread."""
    scorer = PyIQAScorer(metric, options={'pretrained': False, **options})
    generator = generator_at('varied')
    for weight in scorer._network.parameters():
        if weight.dim() < 2:
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    head = next(m for m in scorer._network.head.modules() if isinstance(m, torch.nn.Linear))
    head.weight.mul_(10)
    return scorer


@pytest.fixture(scope='module')
def musiq():
    return varied(num_layers=2)


def images(height, width, count=3):
    noise = torch.rand(count, 3, height, width, generator=generator_at('images', height))
    return noise ** torch.linspace(0.2, 5, count).view(-1, 1, 1, 1)


@pytest.mark.parametrize('size', SIZES)
def test_scores_equal_those_of_pyiqa(musiq, size):
    expected = musiq._network(images(*size))
    assert expected.std() > 0.1
    torch.testing.assert_close(musiq(images(*size)), expected.flatten(), atol=1e-4, rtol=0)


def test_scores_of_the_published_depth_equal_those_of_pyiqa():
    musiq, batch = varied(), images(128, 256, 1)
    torch.testing.assert_close(musiq(batch), musiq._network(batch)[:, 0], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    'options',
    [
        {'num_class': 10},
        {'max_seq_len_from_original_res': 5},
        {'max_seq_len_from_original_res': None},
        {'use_scale_emb': False, 'longer_side_lengths': [160]},
        {'patch_size': 16, 'spatial_pos_grid_size': 7},
    ],
)
def test_settings_mean_what_they_mean_in_pyiqa(options):
    musiq, batch = varied(num_layers=1, **options), images(100, 130, 2)
    torch.testing.assert_close(musiq(batch), musiq._network(batch)[:, 0], atol=1e-4, rtol=0)


@pytest.mark.parametrize('value', [0.0, 0.3, 1.0])
def test_flat_images_score_as_in_pyiqa(musiq, value):
    flat = torch.full((1, 3, 96, 64), value)
    torch.testing.assert_close(musiq(flat), musiq._network(flat)[0], atol=1e-4, rtol=0)


def test_gradient_equals_that_of_pyiqa(musiq):
    # In double precision, as rounding decides on which side of a kink an activation lies.
    network = copy.deepcopy(musiq._network).double()
    both = []
    for score in (FastMUSIQ(network), network):
        image = images(40, 70).double().requires_grad_()
        both += torch.autograd.grad(score(image).sum(), image)
    assert both[1].abs().max() > 1e-3
    torch.testing.assert_close(*both, atol=1e-9, rtol=0)


def test_scores_follow_new_weights(musiq):
    changed = copy.deepcopy(musiq)
    before = changed(images(64, 64))
    changed._network.conv_root.weight.add_(images(7, 7, 64) - 0.5)
    after = changed(images(64, 64))
    assert (after - before).abs().max() > 0.01
    torch.testing.assert_close(after, changed._network(images(64, 64))[:, 0], atol=1e-4, rtol=0)


def test_scores_serve_in_a_graph(musiq):
    weight = torch.ones(3, requires_grad=True)
    (weight * musiq(images(64, 64))).sum().backward()
    torch.testing.assert_close(weight.grad, musiq(images(64, 64)))


def test_filters_kept_without_gradient_serve_with_one(musiq):
    image = images(64, 64)
    musiq(image)
    (gradient,) = torch.autograd.grad(musiq(image.requires_grad_()).sum(), image)
    assert gradient.abs().max() > 0


@pytest.mark.parametrize('metric', ['musiq', 'musiq-ava', 'musiq-spaq', 'musiq-paq2piq'])
def test_every_musiq_is_computed_here(metric):
    scorer = PyIQAScorer(metric, options={'pretrained': False, 'num_layers': 1})
    assert isinstance(scorer._compute, FastMUSIQ)
