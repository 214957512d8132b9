import pytest
import torch

from iqasr.quality import NIQEScorer, QualityScorer, run_self_test
from iqasr.quality.self_test import STEP, natural_image
from iqasr.runtime.randomness import generator_at


class Scorer(QualityScorer):
    """Any function of the image; the mean of the pixels, unless told otherwise."""

    name, version, score_range, differentiable = 'any', '1', (0.0, 1.0), True

    def __init__(self, function=lambda image: image.mean((1, 2, 3))):
        super().__init__()
        self.function = function

    def _score(self, image, reference=None):
        return self.function(image)


class Likeness(QualityScorer):
    name, version, needs_reference, differentiable = 'likeness', '1', True, True

    def _score(self, image, reference):
        return -(image - reference).square().mean((1, 2, 3))


def test_report_of_the_mean_by_hand():
    report = run_self_test(Scorer(), 32)
    count = 3 * 32 * 32
    assert report.gradient_norm == pytest.approx(count**-0.5, rel=1e-4)
    assert report.gain == pytest.approx(STEP, rel=1e-3)
    assert report.quality == pytest.approx(0.5, abs=0.02)


def test_scorer_with_reference_passes():
    assert run_self_test(Likeness(), 32).gain > 0


@pytest.mark.parametrize(
    ('scorer', 'reason'),
    [
        (NIQEScorer(), 'niqe cannot be optimised: it has no gradient'),
        (Scorer(lambda image: image.detach().mean((1, 2, 3))), 'it has no gradient'),
        (Scorer(lambda image: image.std((1, 2, 3)).log()), 'quality on a constant image'),
        (Scorer(lambda image: image.mean((1, 2, 3)).log()), 'quality on a black image'),
        (Scorer(lambda image: (1 - image).mean((1, 2, 3)).log()), 'quality on a white image'),
        (
            Scorer(lambda image: (image - 0.5).abs().mean((1, 2, 3)).sqrt()),
            'gradient on a constant image',
        ),
        (Scorer(lambda image: image.mean((1, 2, 3)) * 0), 'photograph-like image is zero'),
    ],
)
def test_unfit_scorers_are_refused_with_the_reason(scorer, reason):
    with pytest.raises(ValueError, match=reason):
        run_self_test(scorer, 192 if scorer.name == 'niqe' else 32)


def test_step_that_lowers_quality_is_refused():
    def misleading(image):
        mean = image.mean((1, 2, 3))
        return 2 * mean.detach() - mean

    with pytest.raises(ValueError, match=r'changes quality by -0\.00'):
        run_self_test(Scorer(misleading), 32)


def test_natural_image_has_the_spectrum_of_photographs():
    image = natural_image(64, generator_at('natural')).double()
    assert 0.05 <= image.min() < image.max() <= 0.95
    power = torch.fft.fft2(image.mean(0)).abs().square()
    low, high = (power[0, band].mean() for band in (slice(2, 5), slice(16, 32)))
    assert 10 < low / high < 300  # 1 / f^2: (24 / 3)^2 is 64
