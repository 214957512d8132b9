import numpy as np
import pytest
import torch
from basicsr.metrics import calculate_niqe
from basicsr.utils.matlab_functions import imresize
from scipy.ndimage import gaussian_filter
from skimage import data

from iqasr.quality import NIQEScorer
from iqasr.quality.niqe import halve

PHOTOGRAPH = data.astronaut()[:200, 100:310]


def to_tensor(*images):
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def test_equals_basicsr():
    flipped = np.ascontiguousarray(PHOTOGRAPH[::-1])
    quality = NIQEScorer()(to_tensor(PHOTOGRAPH, flipped))
    expected = [calculate_niqe(x[..., ::-1], crop_border=0) for x in (PHOTOGRAPH, flipped)]
    np.testing.assert_allclose(NIQEScorer().published(quality), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize('size', [(192, 96), (96, 288)])
def test_halving_equals_basicsr_to_the_bit(size):
    image = np.random.default_rng(0).random(size, np.float32)
    assert np.array_equal(halve(image), imresize(image, 0.5))


def test_rounds_to_8_bit():
    image = to_tensor(PHOTOGRAPH)
    assert torch.equal(NIQEScorer()(image), NIQEScorer()(image + 0.4 / 255))


def test_blur_and_noise_lower_quality():
    noise = np.random.default_rng(0).normal(0, 25, PHOTOGRAPH.shape)
    blurred = gaussian_filter(PHOTOGRAPH, (3, 3, 0))
    noisy = (PHOTOGRAPH + noise).clip(0, 255).astype(np.uint8)
    quality = NIQEScorer()(to_tensor(PHOTOGRAPH, blurred, noisy))
    assert quality[1] < quality[0] - 1
    assert quality[2] < quality[0] - 1


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('value', [0.0, 0.5, 1.0])
def test_constant_image_gives_nan_and_no_warning(value):
    assert NIQEScorer()(torch.full((1, 3, 192, 192), value)).isnan().all()


def test_one_block_is_refused():
    with pytest.raises(ValueError, match='at least 192x192'):
        NIQEScorer()(torch.rand(1, 3, 191, 300))


def test_has_no_gradient_and_no_state():
    scorer = NIQEScorer().to('cpu')
    assert not scorer(to_tensor(PHOTOGRAPH).requires_grad_()).requires_grad
    assert scorer.state_dict() == {}
