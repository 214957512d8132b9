"""Options of a degradation stage, with the published values as defaults.

Source:
    `FirstStage`, `SecondStage`, `FinalSinc`: Wang et al. (2021), Real-ESRGAN,
    https://github.com/xinntao/Real-ESRGAN, options/train_realesrgan_x4plus.yml.
    `SingleStage`: Chen et al. (2023), Human Guided Ground-truth Generation (HGGT),
    https://github.com/ChrisDud0257/HGGT, train_RRDBGAN_PosNegGT_Blind_Pos_x4.yml.
    Names are those files' names; `*_prob` lists became mappings, so that each number is named.
"""

from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
)

KernelKind = Literal[
    'iso', 'aniso', 'generalized_iso', 'generalized_aniso', 'plateau_iso', 'plateau_aniso'
]
Bounds = TypeVar('Bounds', tuple[int, int], tuple[float, float])
Weights = TypeVar('Weights', bound=dict)


def ordered(bounds: Bounds) -> Bounds:
    """Refuse a reversed range."""
    if bounds[0] > bounds[1]:
        raise ValueError(f'{list(bounds)} is reversed; write [smallest, largest]')
    return bounds


def odd(sizes: tuple[int, int]) -> tuple[int, int]:
    """Refuse kernels without a centre."""
    if not all(size % 2 for size in sizes):
        raise ValueError(f'{list(sizes)} holds an even kernel size; write odd ones')
    return sizes


def around_one(bounds: Bounds) -> Bounds:
    """Refuse a range without 1, at which its lower and upper halves are drawn apart."""
    if not bounds[0] <= 1 <= bounds[1]:
        raise ValueError(f'{list(bounds)} does not hold 1; widen it')
    return bounds


def some_positive(weights: Weights) -> Weights:
    """Refuse weights of which nothing can be drawn."""
    if not sum(weights.values()) > 0:
        raise ValueError(f'{weights} sums to 0; give at least one name a positive number')
    return weights


Probability = Annotated[float, Field(ge=0, le=1)]
Range = Annotated[tuple[NonNegativeFloat, NonNegativeFloat], AfterValidator(ordered)]
PositiveRange = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(ordered)]
RangeAroundOne = Annotated[PositiveRange, AfterValidator(around_one)]
KernelSizes = Annotated[
    tuple[PositiveInt, PositiveInt], AfterValidator(ordered), AfterValidator(odd)
]
JpegQuality = Annotated[float, Field(ge=1, le=100)]
JpegRange = Annotated[tuple[JpegQuality, JpegQuality], AfterValidator(ordered)]
KernelWeights = Annotated[dict[KernelKind, NonNegativeFloat], AfterValidator(some_positive)]
ResizeWeights = Annotated[
    dict[Literal['up', 'down', 'keep'], NonNegativeFloat], AfterValidator(some_positive)
]

STRICT = ConfigDict(extra='forbid', frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Stage(BaseModel):
    """Options of one round of blur, resize, noise and JPEG.

    Ranges are ``[smallest, largest]``; equal ends fix the value. Kernels, noise levels and JPEG
    qualities are drawn per image; the resize and the type of noise per batch, as published.
    """

    model_config = STRICT

    blur_prob: Probability = 1.0
    """Probability that a batch is blurred at all."""
    blur_kernel_size: KernelSizes
    """Smallest and largest side of a blur kernel, odd, in pixels."""
    blur_sigma: PositiveRange
    """Standard deviation along each axis of a Gaussian kernel, in pixels."""
    kernel_prob: KernelWeights
    """Weight of each kind of Gaussian kernel."""
    sinc_prob: Probability
    """Probability of a sinc kernel (ringing) in place of a Gaussian one."""
    betag_range: RangeAroundOne = (0.5, 4.0)
    """Exponent of generalized Gaussian kernels; holds 1, the ordinary Gaussian."""
    betap_range: RangeAroundOne = (1.0, 2.0)
    """Exponent of plateau kernels; holds 1."""
    resize_prob: ResizeWeights
    """Weight of enlarging, reducing and keeping the size."""
    resize_range: RangeAroundOne
    """Smallest reduction and largest enlargement factor; holds 1."""
    gaussian_noise_prob: Probability = 0.5
    """Probability that the noise is Gaussian; otherwise it is Poisson."""
    noise_range: Range
    """Standard deviation of Gaussian noise, in 8-bit grey levels."""
    poisson_scale_range: Range
    """Factor on Poisson noise; 1 is the shot noise of an 8-bit image, 0 none."""
    gray_noise_prob: Probability
    """Probability that an image's noise is the same in all three channels."""
    jpeg_range: JpegRange
    """JPEG quality, in [1, 100]; 100 is best."""
    jpeg: Literal['auto', 'codec', 'diff'] = 'auto'
    """How JPEG is made: ``codec`` by libjpeg, ``diff`` by arithmetic on the device (BasicSR's
    DiffJPEG), ``auto`` by the first on the CPU and by the second elsewhere."""


class FirstStage(Stage):
    """Real-ESRGAN's first stage."""

    blur_kernel_size: KernelSizes = (7, 21)
    blur_sigma: PositiveRange = (0.2, 3.0)
    kernel_prob: KernelWeights = {
        'iso': 0.45,
        'aniso': 0.25,
        'generalized_iso': 0.12,
        'generalized_aniso': 0.03,
        'plateau_iso': 0.12,
        'plateau_aniso': 0.03,
    }
    sinc_prob: Probability = 0.1
    resize_prob: ResizeWeights = {'up': 0.2, 'down': 0.7, 'keep': 0.1}
    resize_range: RangeAroundOne = (0.15, 1.5)
    noise_range: Range = (1.0, 30.0)
    poisson_scale_range: Range = (0.05, 3.0)
    gray_noise_prob: Probability = 0.4
    jpeg_range: JpegRange = (30.0, 95.0)


class SecondStage(FirstStage):
    """Real-ESRGAN's second stage: the fields in which it differs from the first."""

    blur_prob: Probability = 0.8
    blur_sigma: PositiveRange = (0.2, 1.5)
    resize_prob: ResizeWeights = {'up': 0.3, 'down': 0.4, 'keep': 0.3}
    resize_range: RangeAroundOne = (0.3, 1.2)
    noise_range: Range = (1.0, 25.0)
    poisson_scale_range: Range = (0.05, 2.5)


class SingleStage(Stage):
    """HGGT's only stage."""

    blur_kernel_size: KernelSizes = (3, 9)
    blur_sigma: PositiveRange = (0.1, 1.0)
    kernel_prob: KernelWeights = {'iso': 0.7, 'aniso': 0.3}
    sinc_prob: Probability = 0.01
    betag_range: RangeAroundOne = (0.1, 2.0)
    betap_range: RangeAroundOne = (0.1, 1.0)
    resize_prob: ResizeWeights = {'up': 0.1, 'down': 0.85, 'keep': 0.05}
    resize_range: RangeAroundOne = (0.8, 1.2)
    noise_range: Range = (1.0, 12.0)
    poisson_scale_range: Range = (0.05, 0.8)
    gray_noise_prob: Probability = 0.2
    jpeg_range: JpegRange = (75.0, 95.0)


class FinalSinc(BaseModel):
    """Options of the sinc filter that ends the second-order degradation."""

    model_config = STRICT

    prob: Probability = 0.8
    """Probability that an image is filtered."""
    kernel_size: KernelSizes = (7, 21)
    """Smallest and largest side of the filter, odd, in pixels."""
