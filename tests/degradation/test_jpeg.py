import cv2
import numpy as np
import pytest
import torch
from basicsr.data.degradations import add_jpg_compression
from basicsr.utils import diffjpeg
from basicsr.utils.diffjpeg import DiffJPEG

from iqasr.degradation.jpeg import codec_jpeg, diff_jpeg, diff_jpeg_on, jpeg


def psnr_db(image, reference):
    return -10 * (image - reference).square().mean().log10().item()


@pytest.mark.parametrize('quality', [(30.0, 95.0), (49.99, 50.0), (72.3, 88.8)])
def test_diff_jpeg_equals_basicsr(photograph, quality):
    quality = torch.tensor(quality)
    with torch.no_grad():
        expected = DiffJPEG(differentiable=False)(photograph, quality.clone())
    torch.testing.assert_close(diff_jpeg(photograph, quality), expected, rtol=0, atol=1e-5)


def test_codec_jpeg_equals_basicsr(photograph):
    rgb = photograph[0].permute(1, 2, 0).numpy()
    expected = add_jpg_compression(np.ascontiguousarray(rgb[..., ::-1]), 80)[..., ::-1]
    given = codec_jpeg(photograph, torch.tensor([80.0, 30.0]))[0].permute(1, 2, 0)
    # BasicSR hands floats to OpenCV, which may round halves the other way
    assert np.abs(given.numpy() - expected).max() < 1e-6


def test_jpeg_leaves_the_quality_alone(photograph):
    quality = torch.tensor([60.0, 90.0])
    for method in ('codec', 'diff'):
        jpeg(photograph, quality, method)
    assert quality.tolist() == [60.0, 90.0]


def test_best_quality_quantises_nothing(photograph):
    gray = photograph.mean(1, keepdim=True).expand(-1, 3, -1, -1)  # chroma would be halved
    best = diff_jpeg(gray, torch.tensor([100.0, 100.0]))
    torch.testing.assert_close(best, gray, rtol=0, atol=1e-4)


def test_jpeg_takes_the_codec_on_the_cpu(photograph):
    quality = torch.tensor([60.0, 90.0])
    assert torch.equal(jpeg(photograph, quality), codec_jpeg(photograph, quality))


@pytest.mark.parametrize('size', [(33, 50), (16, 17), (5, 63)])
@pytest.mark.parametrize('method', ['codec', 'diff'])
def test_jpeg_keeps_sizes_that_are_no_multiple_of_16(photograph, method, size):
    image = photograph[..., : size[0], : size[1]]
    given = jpeg(image, torch.tensor([90.0, 90.0]), method)
    assert given.shape == image.shape
    assert 0 <= given.min() <= given.max() <= 1
    # the last rows and columns are not darkened by the padding
    assert psnr_db(given[..., -3:, -3:], image[..., -3:, -3:]) > 28


@pytest.mark.parametrize('quality', [40.0, 75.0, 95.0])
def test_both_ways_agree_more_closely_than_either_with_the_image(photograph, quality):
    image = photograph + 0.05 * torch.randn(
        photograph.shape, generator=torch.Generator().manual_seed(0)
    )
    image = (image.clamp(0, 1) * 255).round() / 255
    quality = torch.full((2,), quality)
    codec, diff = codec_jpeg(image, quality), diff_jpeg(image, quality)
    assert psnr_db(codec, diff) > max(psnr_db(codec, image), psnr_db(diff, image))
    assert abs(psnr_db(codec, image) - psnr_db(diff, image)) < 1


@pytest.mark.parametrize('method', ['codec', 'diff'])
def test_lower_quality_lowers_psnr(photograph, method):
    qualities = (10.0, 30.0, 60.0, 95.0)
    images = [jpeg(photograph, torch.tensor([q, q]), method) for q in qualities]
    psnr = [psnr_db(image, photograph) for image in images]
    assert psnr == sorted(psnr)
    assert psnr[-1] - psnr[0] > 5


@pytest.mark.parametrize('method', ['codec', 'diff'])
def test_each_image_has_its_own_quality(photograph, method):
    both = jpeg(photograph, torch.tensor([20.0, 90.0]), method)
    for index, quality in enumerate((20.0, 90.0)):
        alone = jpeg(photograph[index : index + 1], torch.tensor([quality]), method)
        torch.testing.assert_close(both[index], alone[0], rtol=0, atol=1e-5)


def test_codec_colours_are_rgb():
    red = torch.zeros(1, 3, 16, 16)
    red[:, 0] = 1
    given = codec_jpeg(red, torch.tensor([95.0]))
    assert given[:, 0].min() > 0.95
    assert given[:, 1:].max() < 0.05


def test_transform_of_a_device_owns_its_tables():
    # moving a module between CPU and GPU moves its parameters in place, for all that share them
    transform = diff_jpeg_on(torch.device('cpu'))
    assert transform.compress.y_quantize.y_table is not diffjpeg.y_table
    assert transform.decompress.c_dequantize.c_table is not diffjpeg.c_table
    assert diff_jpeg_on(torch.device('cpu')) is transform


def test_opencv_subsamples_the_chroma_as_diff_jpeg_does():
    stripes = torch.full((1, 3, 16, 16), 0.4)
    stripes[:, 0, :, ::2] = 0.6  # colour that alternates from pixel to pixel is averaged away
    for image in (
        codec_jpeg(stripes, torch.tensor([95.0])),
        diff_jpeg(stripes, torch.tensor([95])),
    ):
        chroma = cv2.cvtColor(image[0].permute(1, 2, 0).numpy(), cv2.COLOR_RGB2YCrCb)[..., 1:]
        assert chroma.std((0, 1)).max() < 0.005
