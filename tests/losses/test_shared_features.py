"""Perceptual losses that share a network, against the same ones alone."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import nn

from iqasr.losses import Batch, Objective, build_term
from iqasr.losses.shared_features import SharedFeatures

CONTENT = {'type': 'PerceptualLoss', 'layer_weights': {'conv1_2': 0.1, 'conv3_4': 1}}
STYLE = {
    'type': 'PerceptualLoss',
    'layer_weights': {'conv2_2': 1, 'conv3_4': 0.5},
    'perceptual_weight': 0,
    'style_weight': 30,
}
SECTIONS = {
    'perceptual': CONTENT,
    'style': STYLE,
    'base': {'type': 'BaseDistanceLoss', 'distance': 'feature'},
    'gram': {'type': 'BaseDistanceLoss', 'distance': 'gram'},
    'pixel': {'type': 'L1Loss'},
}


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    gt, output, base, sharpened = torch.rand(4, 2, 3, 16, 16, generator=generator)
    lq = gt[..., ::4, ::4]
    return Batch(lq, gt, output.requires_grad_(), base=base, sharpened=sharpened)


@pytest.fixture
def passes(vgg, monkeypatch):
    """Count the images that go through the first layer of any VGG."""
    images, forward = Counter(), nn.Conv2d.forward

    def counted(layer, image):
        if layer.weight.shape == (8, 3, 3, 3):
            images[round(image.detach().double().sum().item(), 6)] += 1
        return forward(layer, image)

    monkeypatch.setattr(nn.Conv2d, 'forward', counted)
    return images


def evaluate(objective, batch):
    total, log = objective(batch)
    (gradient,) = torch.autograd.grad(total, batch.output)
    return gradient, log


def test_each_image_passes_once_and_the_terms_are_those_of_networks_of_their_own(batch, passes):
    terms = {name: build_term(section) for name, section in SECTIONS.items()}
    alone = [evaluate(Objective({name: term}, ['style']), batch) for name, term in terms.items()]
    assert sorted(passes.values()) == [1, 1, 2, 4]
    passes.clear()
    together = Objective(terms, ['style'])
    for _ in range(2):
        gradient, log = evaluate(together, batch)
        assert len(passes) == 4  # output, ground truth, the sharpened one, base
        assert set(passes.values()) == {1}
        passes.clear()
        assert together.features == {}
    assert torch.allclose(gradient, sum(g for g, _ in alone), atol=1e-7)
    for _, values in alone:
        for name, value in values.items():
            assert log[name].item() == pytest.approx(value.item(), rel=1e-6)


def test_another_batch_has_other_features(batch, vgg):
    objective = Objective({name: build_term(SECTIONS[name]) for name in ('perceptual', 'style')})
    first = objective(batch)[0].item()
    same = replace(batch, output=batch.gt.clone().requires_grad_())
    assert objective(same)[0].item() < 1e-6 < first


def test_views_of_one_memory_have_features_of_their_own(batch, vgg):
    shared = SharedFeatures(build_term(CONTENT).loss.vgg, ['conv1_2'], {})
    for view in (batch.gt, batch.gt[:1], batch.gt.transpose(2, 3)):
        assert torch.equal(shared(view)['conv1_2'], shared.extractor(view)['conv1_2'])


def test_networks_of_other_normalisation_stay_apart(batch, passes):
    other = CONTENT | {'range_norm': True}
    Objective({'one': build_term(CONTENT), 'other': build_term(other)})(batch)
    assert sum(passes.values()) == 4
