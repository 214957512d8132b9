"""Properties of every registered scorer; a new one is tested without being listed."""

import re

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from registered import build_example, names_of_iqasr

from iqasr.quality import QualityScorer
from iqasr.registry import SCORER_REGISTRY

EXAMPLES = {
    'EnsembleScorer': {
        'scorers': [{'type': 'RankerScorer'}, {'type': 'RankerScorer', 'range': [-4.0, 0.0]}]
    },
    'PyIQAScorer': {'metric': 'piqe'},
}
"""Arguments that annotations do not suggest."""

NOT_MONOTONE = {('NIMAScorer', kind): 'its weights are random here' for kind in ('blur', 'noise')}
"""By scorer and kind of damage: why quality need not fall."""


@pytest.fixture(scope='module', params=names_of_iqasr(SCORER_REGISTRY))
def name(request):
    return request.param


@pytest.fixture(scope='module')
def scorer(name, random_weights):
    return build_example(SCORER_REGISTRY, name, EXAMPLES.get(name))


def photographs(size):
    places = [
        (skimage.data.astronaut(), 40, 120),
        (skimage.data.coffee(), 60, 200),
        (skimage.data.chelsea(), 50, 100),
    ]
    return np.stack([image[y : y + size, x : x + size] for image, y, x in places])


def to_tensor(images):
    return torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2) / 255


def add_noise(images, sigma):
    noise = np.random.default_rng(0).normal(0, sigma, images.shape)
    return (images + noise).clip(0, 255).round()


def blur(images, sigma):
    return np.stack([cv2.GaussianBlur(image, (0, 0), sigma) for image in images])


def inputs_of(scorer):
    """Three photographs with a little noise, and themselves as references."""
    images = photographs(max(192, scorer.min_size))
    return to_tensor(add_noise(images, 1)), to_tensor(images)


def test_quality_is_one_float_per_image_and_finite_or_nan(scorer):
    quality = scorer(*inputs_of(scorer))
    assert (quality.shape, quality.dtype) == ((3,), torch.float32)
    assert quality.isfinite().all()
    flat = torch.full((1, 3, max(192, scorer.min_size), 192), 0.5)
    assert not scorer(flat, flat).isinf().any()


def test_batch_scores_as_its_images_do(scorer):
    images, references = inputs_of(scorer)
    alone = [scorer(images[i : i + 1], references[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(scorer(images, references), torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_quality_repeats(scorer):
    images, references = inputs_of(scorer)
    assert torch.equal(scorer(images, references), scorer(images, references))


@pytest.mark.parametrize(
    ('damage', 'worsen'),
    [('blur', lambda images: blur(images, 3)), ('noise', lambda images: add_noise(images, 50))],
)
def test_strong_damage_lowers_quality(name, scorer, damage, worsen):
    if (name, damage) in NOT_MONOTONE:
        pytest.skip(f'{name}: {NOT_MONOTONE[name, damage]}')
    images, references = inputs_of(scorer)
    damaged = to_tensor(worsen(photographs(len(images[0, 0]))))
    lower = scorer(damaged, references) < scorer(images, references)
    assert lower.all(), f'strong {damage} must lower {name}; or say in NOT_MONOTONE why it need not'


def test_scorer_stays_frozen_whatever_surrounds_it(scorer):
    torch.nn.Sequential(scorer).train()
    assert not any(module.training for module in scorer.modules())
    assert not any(parameter.requires_grad for parameter in scorer.parameters())


def test_gradient_is_finite_where_there_is_one(scorer):
    images, references = inputs_of(scorer)
    for kind in (images, torch.full_like(images, 0.5)):
        quality = scorer(kind.requires_grad_(), references)
        assert quality.requires_grad == scorer.differentiable
        if scorer.differentiable:
            finite = torch.autograd.grad(quality.sum(), kind)[0].isfinite().all()
            assert finite, 'the gradient must be finite, on a constant image, too (sqrt at 0?)'


def test_images_of_another_shape_or_type_or_too_small_are_refused(scorer):
    images, _ = inputs_of(scorer)
    least = scorer.min_size
    unfit = [images[0], images[:, :1], images.mul(255).byte(), images[..., : least - 1]]
    for image in unfit:
        with pytest.raises(ValueError, match=rf'^{re.escape(scorer.name)}: '):
            scorer(image, image)


def test_name_and_version_are_told(scorer):
    assert scorer.name
    assert scorer.version


class UpsideDownScorer(QualityScorer):
    """A faulty scorer, which rises with damage and depends on the batch; its options suggest
    themselves."""

    name, version = 'upside down', '1'

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def _score(self, image, reference=None):
        return -self.gain * image.std((1, 2, 3)) * len(image)


def test_faulty_scorer_is_found_without_being_listed(monkeypatch):
    monkeypatch.setitem(SCORER_REGISTRY._obj_map, 'UpsideDownScorer', UpsideDownScorer)
    faulty = build_example(SCORER_REGISTRY, 'UpsideDownScorer')
    with pytest.raises(AssertionError):
        test_batch_scores_as_its_images_do(faulty)
    with pytest.raises(AssertionError):
        test_strong_damage_lowers_quality('', faulty, 'blur', lambda images: blur(images, 3))


class DemandingScorer(UpsideDownScorer):
    def __init__(self, weights: str) -> None:
        super().__init__(1.0)


def test_scorer_without_an_example_is_skipped_by_name(monkeypatch):
    monkeypatch.setitem(SCORER_REGISTRY._obj_map, 'DemandingScorer', DemandingScorer)
    with pytest.raises(pytest.skip.Exception, match='DemandingScorer: its argument `weights`'):
        build_example(SCORER_REGISTRY, 'DemandingScorer')
