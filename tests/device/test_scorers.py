"""Scorers on a device: scores, and gradients to the image."""

import copy

import pytest
import skimage.data
import torch
from devices import assert_near, assert_near_in_norm

from iqasr.quality import PyIQAScorer
from iqasr.registry import SCORER_REGISTRY, build
from iqasr.runtime.randomness import generator_at

pytestmark = pytest.mark.cuda

SCORERS = {
    'ranker': {'type': 'RankerScorer'},
    'nima': {'type': 'NIMAScorer', 'crop': 128},
    'nima, whole': {'type': 'NIMAScorer', 'view': 'whole'},
    'lpips': {'type': 'LPIPSScorer'},
    'lpips-vgg': {'type': 'LPIPSScorer', 'net': 'vgg'},
    'stlpips': {'type': 'STLPIPSScorer'},
    'stlpips-vgg': {'type': 'STLPIPSScorer', 'net': 'vgg'},
    'dists': {'type': 'DISTSScorer'},
    'niqe': {'type': 'NIQEScorer'},
    'ensemble': {
        'type': 'EnsembleScorer',
        'scorers': [{'type': 'RankerScorer'}, {'type': 'NIMAScorer', 'crop': 128}],
        'fusion': 'weighted',
        'weights': [2.0, 1.0],
    },
}


@pytest.fixture(scope='module')
def large() -> tuple[torch.Tensor, torch.Tensor]:
    """Two pieces of a photograph with noise, (2, 3, 192, 200) RGB in [0, 1]; and without."""
    whole = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1).float() / 255
    pieces = torch.stack([whole[:, y : y + 192, x : x + 200] for y, x in ((40, 120), (200, 60))])
    noise = torch.randn(pieces.shape, generator=generator_at('noise'))
    return (pieces + 0.1 * noise).clamp(0, 1), pieces


def compare(scorer, device, image, reference):
    """Score on both, and compare the gradients if there are any."""
    found = []
    for where in ('cpu', device):
        own = copy.deepcopy(scorer).to(where)
        leaf = image.clone().to(where).requires_grad_(scorer.differentiable)
        quality = own(leaf, reference.to(where))
        assert quality.device.type == torch.device(where).type
        gradients = torch.autograd.grad(quality.sum(), leaf) if scorer.differentiable else ()
        found.append((quality, *gradients))
    (expected, *gradient), (quality, *own) = found
    assert expected.isfinite().all()
    assert_near(quality, expected, rtol=1e-4, atol=2e-6)
    for mine, theirs in zip(own, gradient, strict=True):
        assert_near_in_norm(mine, theirs, 1e-2)


@pytest.mark.parametrize('name', SCORERS)
def test_scores_and_gradients_are_those_of_the_cpu(name, large, device, random_weights):
    compare(build(SCORER_REGISTRY, SCORERS[name]), device, *large)


@pytest.mark.parametrize('name', SCORERS)
def test_scores_without_gradient_are_those_with_it(name, large, device, random_weights):
    scorer = build(SCORER_REGISTRY, SCORERS[name]).to(device)
    image, reference = (x.clone().to(device) for x in large)
    with torch.no_grad():
        plain = scorer(image, reference)
    expected = scorer(image.requires_grad_(scorer.differentiable), reference).cpu()
    assert_near(plain, expected, rtol=1e-4, atol=2e-6)


def test_musiq_is_that_of_the_cpu(large, device):
    pytest.importorskip('pyiqa')
    scorer = PyIQAScorer('musiq', options={'pretrained': False, 'num_layers': 2})
    compare(scorer, device, *large)
