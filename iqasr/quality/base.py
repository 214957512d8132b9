"""The base class of scorers of image quality."""

import hashlib
import math
from abc import ABCMeta, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from iqasr.quality.normalisation import normalise_quality
from iqasr.runtime.unit_range import clamp_to_unit

FAR_BEYOND = 2.0
"""What most values of an image in [0, 255] exceed, and those of one in [0, 1] do not."""


class ScorerType(ABCMeta):
    """Checks that a scorer is complete once it is constructed."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Construct a scorer.

        Raises:
            TypeError: If something that every scorer must have is missing.
        """
        scorer = super().__call__(*args, **kwargs)
        if '_modules' not in vars(scorer):
            raise TypeError(f'{cls.__name__}.__init__ must call super().__init__().')
        for part in ('name', 'version'):
            if not isinstance(getattr(scorer, part, None), str):
                raise TypeError(
                    f'{cls.__name__} has no `{part}`: set it to a string, as an attribute of the '
                    'class or in __init__.'
                )
        return scorer


class QualityScorer(nn.Module, metaclass=ScorerType):
    """Scores images: quality, higher is better, in the scorer's published units.

    A subclass sets `name` and `version`, and whichever other attribute differs, on the class or in
    its constructor, and defines `_score`. Scorers are frozen: they stay in evaluation mode, and no
    parameter requires a gradient; the image gets one where it requires it.

    Raises:
        TypeError: If `_score`, `name` or `version` is missing.
    """

    name: str
    """Name in tables and logs."""
    version: str
    """Library, weights and options that the numbers depend on."""
    needs_reference: bool = False
    """Whether it compares with a reference image (full-reference)."""
    score_range: tuple[float, float] = (-math.inf, math.inf)
    """Worst and best quality to expect, higher is better."""
    lower_better: bool = False
    """Whether the published score falls with quality."""
    min_size: int = 1
    """Least height and width, in pixels."""
    differentiable: bool = False
    """Whether quality has a gradient with respect to the image."""

    def __init__(self) -> None:
        super().__init__()
        super().train(False)

    def __setattr__(self, name: str, value: Any) -> None:
        """Freeze a module or parameter that becomes part of the scorer."""
        if isinstance(value, nn.Module):
            value.eval()
        if isinstance(value, nn.Module | nn.Parameter):
            value.requires_grad_(False)
        super().__setattr__(name, value)

    def train(self, mode: bool = True) -> 'QualityScorer':
        """Stay in evaluation mode, whatever the model around it is switched to."""
        return super().train(False)

    def forward(self, image: Tensor, reference: Tensor | None = None) -> Tensor:
        """Score images.

        Args:
            image: :math:`(N, 3, H, W)` RGB in [0, 1]; values somewhat beyond are clamped, as are
                all of an image with a gradient: a network in training may overshoot. Clamped values
                have no gradient.
            reference: Images to compare with, as `image`; ignored unless `needs_reference`.

        Returns:
            Quality, :math:`(N,)` float32, higher is better; NaN where the scorer finds no finite
            score.

        Raises:
            ValueError: If an image has another shape, type or range or is too small, or if the
                reference is missing or of another size. On a GPU a wrong range is found later, by
                an assertion.
        """
        inputs = {'image': image}
        if self.needs_reference:
            if reference is None:
                raise ValueError(f'{self.name}: needs a reference image to compare with.')
            inputs['reference'] = reference
        for role, tensor in inputs.items():
            self._check(tensor, role)
            # An output in training may diverge, which is not for the scorer to say.
            if not image.requires_grad:
                self._check_range(tensor, role)
            if tensor.shape[2:] != image.shape[2:]:
                sizes = ' and '.join('x'.join(map(str, t.shape[2:])) for t in inputs.values())
                raise ValueError(f'{self.name}: image and reference have {sizes} pixels.')
        with (
            torch.set_grad_enabled(torch.is_grad_enabled() and self.differentiable),
            torch.autocast(image.device.type, enabled=False),
        ):
            score = self._score(*(clamp_to_unit(tensor.float()) for tensor in inputs.values()))
        quality = self.published(score.float().reshape(len(image)))
        return quality.where(quality.isfinite(), math.nan)

    @abstractmethod
    def _score(self, image: Tensor, reference: Tensor | None = None) -> Tensor:
        """Score float32 images in [0, 1]; N scores in any shape, in published direction."""

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

    def _check_range(self, image: Tensor, role: str) -> None:
        # Most values, not the largest, as a network that diverges may be validated.
        far_beyond = 2 * image.gt(FAR_BEYOND).sum() > image.numel()
        message = (
            f'{self.name}: most values of the {role} are above {FAR_BEYOND:g}; expected RGB in '
            '[0, 1]. Divide images in [0, 255] by 255.'
        )
        if not image.is_cpu:
            torch._assert_async(~far_beyond, message)  # the host does not wait for it
        elif far_beyond:
            raise ValueError(message)

    def published(self, quality: Tensor) -> Tensor:
        """Turn quality into the score as published, or back: the sign, where it differs."""
        return -quality if self.lower_better else quality

    def normalise(self, quality: Tensor) -> Tensor:
        """Map quality from `score_range` to [0, 1]; quality outside the range lands outside.

        Raises:
            ValueError: If the range is infinite.
        """
        return normalise_quality(quality, 'range01', score_range=self.score_range)


def digest_of(weights: Mapping[str, Tensor]) -> str:
    """Identify weights by their values and names, whatever file they were in: eight hex digits."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:8]
