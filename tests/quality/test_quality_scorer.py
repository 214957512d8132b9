import math

import pytest
import torch
from torch import nn

from iqasr.quality import QualityScorer


class Brightness(QualityScorer):
    """The mean of the pixels, published as darkness: lower is better."""

    name, version, score_range = 'darkness', '1', (-1.0, 0.0)
    lower_better, min_size, differentiable = True, 8, True

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.layer = nn.Conv2d(3, 1, 1)

    def _score(self, image, reference=None):
        assert image.dtype == torch.float32
        return (1 - self.dropout(image).mean((1, 2, 3), keepdim=True)) * self.scale / 2


class Difference(QualityScorer):
    name, version, needs_reference, differentiable = 'difference', '1', True, False

    def _score(self, image, reference=None):
        return 1 / (image - reference).abs().mean((1, 2, 3))


def test_quality_has_the_sign_fixed_and_published_undoes_it():
    scorer, image = Brightness(), torch.full((2, 3, 8, 8), 0.25)
    assert scorer(image).tolist() == [-0.75, -0.75]
    assert scorer.published(scorer(image)).tolist() == [0.75, 0.75]
    assert scorer.normalise(scorer(image)).tolist() == [0.25, 0.25]


def test_image_is_clamped_and_left_alone():
    image = torch.full((1, 3, 8, 8), 1.5)
    assert Brightness()(image).tolist() == [0.0]
    assert image.max() == 1.5


def test_gradient_ends_beyond_the_range_and_not_at_its_bounds():
    image = torch.full((1, 3, 8, 8), 0.5)
    image[0, 0, 0, :5] = torch.tensor([-0.1, 0, 1, 1.1, math.inf])
    image.requires_grad_()
    (gradient,) = torch.autograd.grad(Brightness()(image).sum(), image)
    assert (gradient[0, 0, 0] != 0).tolist() == [False, True, True, False, False, True, True, True]
    assert (gradient[0, 1:] != 0).all()


def test_image_in_0_to_255_is_refused_even_a_dark_one():
    dark = torch.rand(1, 3, 8, 8) * 20
    with pytest.raises(ValueError, match=r'darkness: most values of the image are above 2;.*255'):
        Brightness()(dark)
    with pytest.raises(ValueError, match='difference: most values of the reference'):
        Difference()(dark / 255, dark)


def test_output_that_overshoots_or_diverges_is_clamped():
    image = torch.rand(1, 3, 8, 8)
    image[..., :3, :] = 1e6
    expected = Brightness()(image.clamp(0, 1))
    assert torch.equal(Brightness()(image), expected)
    diverged = torch.full_like(image, 1e6).requires_grad_()
    assert Brightness()(diverged).tolist() == [0.0]
    assert Brightness()(torch.full_like(image, math.nan)).isnan().all()


def test_scorer_stays_frozen_whatever_surrounds_it():
    model = nn.Sequential(Brightness()).train()
    assert not any(module.training for module in model[0].modules())
    assert [p.requires_grad for p in model[0].parameters()] == [False] * 3
    assert not Brightness().training


def test_gradient_reaches_the_image_only_where_asked():
    scorer, image = Brightness(), torch.full((1, 3, 8, 8), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(scorer(image).sum(), image)
    torch.testing.assert_close(gradient, torch.full_like(image, 1 / 192))
    with torch.no_grad():
        assert not scorer(image).requires_grad
    assert not Difference()(image, torch.zeros_like(image)).requires_grad


def test_score_is_computed_in_float32_under_autocast():
    image = torch.rand(1, 3, 8, 8).to(torch.bfloat16)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        quality = Brightness()(image)
    assert quality.dtype == torch.float32
    torch.testing.assert_close(quality, Brightness()(image.float()))


def test_infinite_score_becomes_nan():
    image = torch.rand(2, 3, 8, 8)
    reference = torch.stack([image[0], 1 - image[1]])
    assert Difference()(image, reference).isnan().tolist() == [True, False]


@pytest.mark.parametrize(
    ('image', 'message'),
    [
        (torch.rand(1, 3, 8, 7), 'darkness: the image has 8x7 pixels, .* at least 8x8'),
        (torch.rand(1, 1, 8, 8), r'darkness: .* shape \(1, 1, 8, 8\)'),
        (torch.rand(3, 8, 8), r'expected floating point \(N, 3, H, W\)'),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), 'torch.uint8'),
    ],
)
def test_bad_images_are_refused(image, message):
    with pytest.raises(ValueError, match=message):
        Brightness()(image)


def test_missing_reference_is_refused():
    with pytest.raises(ValueError, match='difference: needs a reference'):
        Difference()(torch.rand(1, 3, 8, 8))


def test_endless_range_cannot_be_normalised():
    with pytest.raises(ValueError, match=r'\(-inf, inf\)'):
        Difference().normalise(torch.tensor([math.pi]))


def score(self, image, reference=None):
    return image.mean((1, 2, 3))


@pytest.mark.parametrize(
    ('parts', 'message'),
    [
        ({'name': 'x', 'version': '1'}, "abstract method '?_score"),
        ({'_score': score, 'name': 'x'}, 'Partial has no `version`: set it to a string'),
        ({'_score': score, 'version': '1'}, 'Partial has no `name`'),
        ({'_score': score, 'name': 'x', 'version': 2}, 'Partial has no `version`'),
        (
            {'_score': score, 'name': 'x', 'version': '1', '__init__': lambda self: None},
            r'Partial.__init__ must call super\(\).__init__\(\)',
        ),
    ],
)
def test_scorer_with_a_missing_part_cannot_be_constructed(parts, message):
    with pytest.raises(TypeError, match=message):
        type(QualityScorer)('Partial', (QualityScorer,), parts)()


def test_module_assigned_before_the_base_constructor_is_refused():
    class Early(Brightness):
        def __init__(self):
            self.layer = nn.Conv2d(3, 1, 1)

    with pytest.raises(AttributeError, match=r'before Module.__init__\(\) call'):
        Early()


def test_name_and_version_may_be_set_in_the_constructor():
    class Named(QualityScorer):
        _score = score

        def __init__(self, name):
            super().__init__()
            self.name, self.version = name, '1'

    assert Named('x').name == 'x'
