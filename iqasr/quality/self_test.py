"""Test of a scorer's gradient, made before a network is trained on it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from iqasr.quality.base import QualityScorer
from iqasr.runtime.randomness import generator_at

STEP = 1e-3
"""Largest change of a pixel in the trial step."""


@dataclass(frozen=True)
class SelfTest:
    """Measurements of a scorer's gradient on an image with the spectrum of a photograph."""

    name: str
    quality: float
    """Of the image, in the scorer's units, higher is better."""
    gradient_norm: float
    """Euclidean norm of the gradient to the image, in units of quality per pixel value."""
    gain: float
    """By how much quality rises when no pixel changes by more than `STEP`."""

    def __str__(self) -> str:
        return (
            f'{self.name}: quality {self.quality:.4g}, gradient norm {self.gradient_norm:.3g}, '
            f'a step of {STEP:g} gains {self.gain:.3g}'
        )


def run_self_test(scorer: QualityScorer, size: int) -> SelfTest:
    """Test a scorer's gradient on a photograph-like, a constant, a black, a white, a noise image.

    Args:
        scorer: Scorer, on the CPU; with a reference, the photograph without noise is its reference.
        size: Side of the images in pixels, >= the scorer's least.

    Returns:
        The measurements.

    Raises:
        ValueError: If it has no gradient, if its quality or gradient is not finite on one of the
            images, or if a small step along its gradient does not raise quality.
    """
    if not scorer.differentiable:
        raise unsuitable(scorer, 'it has no gradient')
    generator = generator_at('self_test')
    natural = natural_image(size, generator)
    noise = torch.rand(3, size, size, generator=generator)
    images = {
        'a photograph-like': 0.9 * natural + 0.1 * noise,
        'a constant': torch.full_like(noise, 0.5),
        'a black': torch.zeros_like(noise),
        'a white': torch.ones_like(noise),
        'a noise': noise,
    }
    stack = torch.stack(list(images.values())).requires_grad_()
    reference = natural.expand_as(stack)
    with torch.enable_grad():
        quality = scorer(stack, reference)
        if not quality.requires_grad:
            raise unsuitable(scorer, 'it has no gradient')
        (gradient,) = torch.autograd.grad(quality.sum(), stack)
    for kind, value, slope in zip(images, quality, gradient, strict=True):
        for name, number in (('quality', value), ('gradient', slope)):
            if not number.isfinite().all():
                raise unsuitable(scorer, f'its {name} on {kind} image is not finite')
    image, gradient, reference = stack[:1].detach(), gradient[:1], reference[:1]
    largest = gradient.abs().max()
    if largest == 0:
        raise unsuitable(scorer, 'its gradient on a photograph-like image is zero')
    with torch.no_grad():
        # Together, as rounding may differ between batch sizes by more than a small gain.
        both = torch.cat([image, image + STEP * gradient / largest])
        before, after = scorer(both, reference.expand_as(both)).tolist()
    if not after > before:
        raise unsuitable(
            scorer, f'a step along its gradient changes quality by {after - before:.3g}'
        )
    return SelfTest(scorer.name, before, gradient.norm().item(), after - before)


def unsuitable(scorer: QualityScorer, reason: str) -> ValueError:
    """Make the error for a scorer that cannot be optimised, with the reason and what to do."""
    return ValueError(
        f'{scorer.name} cannot be optimised: {reason}. Choose another scorer for the objective; '
        'this one may still rank candidates or be watched at validation.'
    )


def natural_image(size: int, generator: torch.Generator) -> Tensor:
    """Make noise with the spectrum of photographs, amplitude falling as 1 / frequency.

    Source:
        Field (1987), Relations between the statistics of natural images and the response
        properties of cortical cells, Journal of the Optical Society of America A.

    Returns:
        :math:`(3, size, size)` RGB in [0.05, 0.95], mostly grey.
    """
    frequency = torch.fft.fftfreq(size)
    radius = torch.hypot(frequency[:, None], frequency[None])
    amplitude = torch.where(radius > 0, 1 / radius, 0)
    white = torch.randn(4, size, size, generator=generator)
    pink = torch.fft.ifft2(torch.fft.fft2(white) * amplitude).real
    pink = pink / pink.std((1, 2), keepdim=True)
    return (0.5 + 0.2 * pink[:1] + 0.05 * pink[1:]).clamp(0.05, 0.95)
