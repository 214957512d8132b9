"""The negative loss of HGGT: away from versions of an image that people judged worse.

Source:
    Chen et al. (2023), Human Guided Ground-truth Generation for Realistic Image Super-resolution,
    section 4; details from https://github.com/ChrisDud0257/HGGT. Deviation: a batch without a
    negative gives 0 with a gradient of 0, so that all processes of a run exchange the same.
    Implementation: written here.
"""

from collections.abc import Mapping

from basicsr.losses.loss_util import get_local_weights
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from iqasr.degradation import from_uint8
from iqasr.losses.term import Negative, require_input
from iqasr.registry import LOSS_REGISTRY


def disagreement(original: Tensor, candidate: Tensor, agreement: Tensor) -> Tensor:
    r"""Measure where a candidate changes the texture of its original.

    Args:
        original: :math:`(N, 3, H, W)` in [0, 1].
        candidate: Of the same shape.
        agreement: :math:`a`, share of the annotators, in [0, 1]; broadcast to the images.

    Returns:
        :math:`a \cdot \mathrm{var}_{3 \times 3}(\sum_c |o - k|)^{3/4}`, :math:`(N, 1, H, W)`.
    """
    residual = (original - candidate).abs().sum(1, keepdim=True)
    return agreement * get_local_weights(residual, 3) ** 0.75


def negative_map(
    original: Tensor,
    negative: Tensor,
    positive: Tensor,
    negative_agreement: Tensor,
    positive_agreement: Tensor,
) -> Tensor:
    """Measure where a negative is worse: where it differs from the original more than a positive.

    Args:
        original: :math:`(N, 3, H, W)` in [0, 1].
        negative: A candidate judged worse.
        positive: A candidate judged better; anything, with agreement 0, if there is none.
        negative_agreement: Share of the annotators who said so; 0 where there is no negative.
        positive_agreement: The same for the positive.

    Returns:
        :math:`(N, 1, H, W)`, at least 0.
    """
    worse = disagreement(original, negative, negative_agreement)
    better = disagreement(original, positive, positive_agreement)
    return worse.masked_fill(better >= worse, 0)


def negative_of(judged: Mapping[str, Tensor], original: Tensor) -> Negative:
    """Make the negatives of a batch of `MultiGTDataset`.

    Args:
        judged: Its ``negative``: ``image`` and ``positive``, :math:`(N, 3, H, W)` uint8; and
            ``agreement``, :math:`(N, 2)`, share of the annotators for each, 0 where there is none.
        original: The same crops of the originals, :math:`(N, 3, H, W)` in [0, 1].

    Returns:
        Images and weights, on the device of `original`.
    """
    parts = {name: part.to(original.device, non_blocking=True) for name, part in judged.items()}
    image, positive = from_uint8(parts['image']), from_uint8(parts['positive'])
    agreement = parts['agreement'][..., None, None, None].unbind(1)
    return Negative(image, negative_map(original, image, positive, *agreement))


@LOSS_REGISTRY.register()
class NegativeLoss(nn.Module):
    """Minus the mean absolute difference of the output to a negative, weighted by `negative_map`.

    It has no lower bound: with too large a weight, training diverges.

    Args:
        loss_weight: Weight; 0 switches the term off. HGGT's is for a map that is small nearly
            everywhere.
    """

    def __init__(self, *, loss_weight: NonNegativeFloat = 300.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(
        self, output: Tensor, gt: Tensor | None = None, *, negative: Negative | None = None
    ) -> Tensor:
        """Compare the output, :math:`(N, 3, H, W)`, with the negatives; `gt` is not looked at.

        Raises:
            ValueError: If there is no `negative`.
        """
        require_input(self, 'negative', negative, 'an iqasr.losses.Negative: images judged worse')
        image, weight = negative
        return -self.loss_weight * (weight * (output - image)).abs().mean()
