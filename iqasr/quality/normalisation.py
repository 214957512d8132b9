"""Quality of different scorers on a common scale."""

import math
from typing import Literal

from torch import Tensor


def normalise_quality(
    quality: Tensor,
    how: Literal['none', 'range01', 'zscore_set', 'zscore_dataset'],
    *,
    score_range: tuple[float, float] = (-math.inf, math.inf),
    mean: float = 0.0,
    std: float = 1.0,
) -> Tensor:
    """Normalise quality; values that are not finite (NaN, ``-inf``) are kept.

    Args:
        quality: :math:`(N, K)` for ``zscore_set``, else any shape; higher is better.
        how: ``none``; ``range01``, by the scorer's range; ``zscore_set``, to mean 0 and standard
            deviation 1 in each row (0 where all are equal); ``zscore_dataset``, by `mean`, `std`.
        score_range: Worst and best quality, for ``range01``, mapped to [0, 1]. Nothing is clipped:
            published ranges are rough, and clipping would end the gradient.
        mean: Mean over the data set, for ``zscore_dataset``.
        std: Standard deviation over the data set, for ``zscore_dataset``.

    Returns:
        Normalised quality, of the same shape.

    Raises:
        ValueError: If `how` is unknown, or the range for ``range01`` is infinite.

    Example:
        >>> normalise_quality(Tensor([[25.0, 75.0]]), 'range01', score_range=(0, 100))
        tensor([[0.2500, 0.7500]])
    """
    if how == 'none':
        return quality
    finite = quality.isfinite()
    if how == 'range01':
        worst, best = score_range
        if not -math.inf < worst < best < math.inf:
            raise ValueError(
                f'quality in the range ({worst}, {best}) cannot be mapped to [0, 1]. '
                'Use `zscore_set`, `zscore_dataset` or `none`.'
            )
        normalised = (quality - worst) / (best - worst)
    elif how == 'zscore_set':
        normalised = _zscore_rows(quality.where(finite, -math.inf), finite)
    elif how == 'zscore_dataset':
        normalised = (quality - mean) / std if std > 0 else quality * 0
    else:
        raise ValueError(
            f"quality cannot be normalised by '{how}'; "
            'use none, range01, zscore_set or zscore_dataset.'
        )
    return normalised.where(finite, quality)


def _zscore_rows(quality: Tensor, finite: Tensor) -> Tensor:
    # Below the best rather than from 0: equal scores give exact zeros, not rounding made large.
    below = (quality - quality.amax(1, keepdim=True)).where(finite, 0.0)
    count = finite.sum(1, keepdim=True).clamp(min=1)
    centred = (below - below.sum(1, keepdim=True) / count).where(finite, 0.0)
    std = (centred.square().sum(1, keepdim=True) / count).sqrt()
    return centred / std.where(std > 0, 1.0)
