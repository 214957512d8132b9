"""What every scorer of image quality has in common."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from iqasr.quality.normalisation import normalise_quality


class QualityScorer(nn.Module):
    """Scores images: quality, higher is better, in the scorer's published units.

    A subclass sets the attributes and defines `_score`. Scorers are frozen: always in evaluation
    mode, no parameter asks for gradients; gradients to the image are given where it asks for them.
    """

    name: str
    """What tables and logs call it."""
    version: str
    """What else the numbers depend on: library, weights, options."""
    needs_reference: bool = False
    score_range: tuple[float, float] = (-math.inf, math.inf)
    """Worst and best quality to expect, higher is better."""
    lower_better: bool = False
    """Whether the published score falls with quality."""
    min_size: int = 1
    """Least height and width, in pixels."""
    differentiable: bool = False

    def __init__(self) -> None:
        super().__init__()
        super().train(False)

    def __setattr__(self, name: str, value: Any) -> None:
        """Freeze what becomes part of the scorer."""
        if isinstance(value, nn.Module):
            value.eval()
        if isinstance(value, nn.Module | nn.Parameter):
            value.requires_grad_(False)
        super().__setattr__(name, value)

    def train(self, mode: bool = True) -> 'QualityScorer':
        """Stay in evaluation mode, whatever the model around it does."""
        return super().train(False)

    def forward(self, image: Tensor, reference: Tensor | None = None) -> Tensor:
        """Score images.

        Args:
            image: :math:`(N, 3, H, W)` RGB in [0, 1]; values beyond are clamped.
            reference: As `image`, what to compare with; ignored unless `needs_reference`.

        Returns:
            Quality, :math:`(N,)` float32, higher is better; NaN where the scorer finds no finite
            score.

        Raises:
            ValueError: If an image has another shape or type, is too small, or the reference lacks.
        """
        inputs = {'image': image}
        if self.needs_reference:
            if reference is None:
                raise ValueError(f'{self.name}: needs a reference image to compare with.')
            inputs['reference'] = reference
        for role, tensor in inputs.items():
            self._check(tensor, role)
        with (
            torch.set_grad_enabled(torch.is_grad_enabled() and self.differentiable),
            torch.autocast(image.device.type, enabled=False),
        ):
            score = self._score(*(tensor.float().clamp(0, 1) for tensor in inputs.values()))
        quality = self.published(score.float().reshape(len(image)))
        return quality.where(quality.isfinite(), math.nan)

    def _score(self, image: Tensor, reference: Tensor | None = None) -> Tensor:
        """Score float32 images in [0, 1]; N scores in any shape, in published direction."""
        raise NotImplementedError

    def _check(self, image: Tensor, role: str) -> None:
        if image.dim() != 4 or image.shape[1] != 3 or not image.is_floating_point():
            raise ValueError(
                f'{self.name}: the {role} is {image.dtype} of shape {tuple(image.shape)}; '
                'expected floating point (N, 3, H, W) in [0, 1].'
            )
        height, width = image.shape[2:]
        if min(height, width) < self.min_size:
            raise ValueError(
                f'{self.name}: the {role} has {height}x{width} pixels, the scorer needs at least '
                f'{self.min_size}x{self.min_size}. Use larger crops or another scorer.'
            )

    def published(self, quality: Tensor) -> Tensor:
        """Turn quality into the score as published, or back: the sign, where it differs."""
        return -quality if self.lower_better else quality

    def normalise(self, quality: Tensor) -> Tensor:
        """Map quality from `score_range` to [0, 1]; beyond the range it lands beyond.

        Raises:
            ValueError: If the range has no end.
        """
        return normalise_quality(quality, 'range01', score_range=self.score_range)
