import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from iqasr.pretrained import locate_weights
from iqasr.quality import NIMAScorer, run_self_test
from iqasr.runtime.errors import MissingWeightsError
from iqasr.runtime.randomness import generator_at
from iqasr.runtime.weights import load_file

pytestmark = pytest.mark.usefixtures('random_weights')


def images(*shape):
    return torch.rand(*shape, generator=generator_at('nima'))


def rate_plainly(weights, image):
    """The mean rating layer by layer, with batch normalisation as such."""

    def layer(x, name, stride=1):
        kernel = weights[f'{name}.weight']
        groups = kernel.shape[0] if kernel.shape[1] == 1 else 1
        size = kernel.shape[2]
        x = F.pad(x, (0, 1, 0, 1) if stride == 2 else [size // 2] * 4)
        x = F.conv2d(x, kernel, stride=stride, groups=groups)
        parts = ('running_mean', 'running_var', 'weight', 'bias')
        normed = F.batch_norm(x, *(weights[f'{name}_bn.{part}'] for part in parts), eps=1e-3)
        return normed.clamp(0, 6)

    x = layer(2 * image - 1, 'conv1', 2)
    for number in range(13):
        x = layer(x, f'blocks.{number}.dw', 2 if number in (1, 3, 5, 11) else 1)
        x = layer(x, f'blocks.{number}.pw')
    logits = x.mean((2, 3)) @ weights['head.weight'].T + weights['head.bias']
    return (logits.softmax(1) * torch.arange(1, 11)).sum(1)


@pytest.mark.parametrize('size', [(224, 224), (96, 131), (201, 160)])
def test_crop_scores_as_the_network_layer_by_layer(size, random_weights):
    image = images(2, 3, *size)
    expected = rate_plainly(random_weights('nima'), image)
    torch.testing.assert_close(NIMAScorer()(image), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(('bias', 'score'), [({}, 5.5), ({6: 50.0}, 7.0), ({1: 50, 3: 50}, 3.0)])
def test_score_is_the_mean_of_the_ratings(bias, score):
    scorer = NIMAScorer()
    head = scorer.network[-2]
    head.weight.zero_()
    for rating, logit in bias.items():
        head.bias[rating] = logit
    assert scorer(images(1, 3, 96, 96)).item() == pytest.approx(score)


def test_crops_lie_at_even_distances_and_count_alike():
    image, scorer = images(2, 3, 224, 500), NIMAScorer()
    crops = [image[..., left : left + 224] for left in (0, 138, 276)]
    expected = torch.stack([scorer(crop) for crop in crops]).mean(0)
    torch.testing.assert_close(scorer(image), expected)
    middle = NIMAScorer(max_crops=1)(image)
    torch.testing.assert_close(middle, scorer(crops[1]))


def test_many_crops_score_the_same_in_parts_as_at_once():
    image, scorer = images(1, 3, 500, 500), NIMAScorer(crop=96)
    with torch.no_grad():
        in_parts = scorer(image)
    torch.testing.assert_close(scorer(image.requires_grad_()).detach(), in_parts)


def test_whole_image_is_reduced_to_224_pixels():
    image = images(1, 3, 448, 300)
    reduced = F.interpolate(image, (224, 224), mode='bilinear', antialias=True)
    expected = NIMAScorer()(reduced)
    torch.testing.assert_close(NIMAScorer(view='whole')(image), expected)


@pytest.mark.parametrize('options', [{}, {'view': 'whole'}, {'crop': 96}])
def test_crops_give_the_whole_image_a_gradient(options):
    image = images(1, 3, 224, 300).requires_grad_()
    (gradient,) = torch.autograd.grad(NIMAScorer(**options)(image).sum(), image)
    assert (gradient != 0).any(1).float().mean() > 0.9


def test_self_test_passes():
    assert run_self_test(NIMAScorer(), 96).gain > 0


def test_version_follows_weights_and_crops(random_weights, monkeypatch):
    versions = {NIMAScorer(**o).version for o in ({}, {'crop': 96}, {'view': 'whole'})}
    other = random_weights('nima') | {'head.bias': torch.ones(10)}
    monkeypatch.setattr('iqasr.quality.nima.load_file', lambda path: other)
    assert len(versions | {NIMAScorer().version}) == 4


def test_small_crops_and_other_weights_are_refused(random_weights, monkeypatch):
    with pytest.raises(ValueError, match='crop is 95 pixels; use 96 or more'):
        NIMAScorer(crop=95)
    monkeypatch.setattr('iqasr.quality.nima.load_file', lambda path: random_weights('vgg16'))
    with pytest.raises(ValueError, match=r"nima: not of NIMA on MobileNet \('conv1.weight'\)"):
        NIMAScorer()


def test_weights_are_found_by_path_and_an_unknown_name_is_told(
    random_weights, monkeypatch, tmp_path
):
    path = tmp_path / 'mine.safetensors'
    save_file(random_weights('nima'), path)
    expected = NIMAScorer().version
    monkeypatch.setattr('iqasr.quality.nima.load_file', load_file)
    monkeypatch.setattr('iqasr.quality.nima.locate_weights', locate_weights)
    assert NIMAScorer(weights=str(path)).version == expected
    with pytest.raises(MissingWeightsError, match=r"'nimma'.*Did you mean 'nima'"):
        NIMAScorer(weights='nimma')
