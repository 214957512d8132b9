"""Losses of the order of images: that of a ladder, and that of a teacher.

Source:
    Liu et al. (2017), RankIQA: Learning from rankings for no-reference image quality assessment,
    eq. 3 (margin loss over pairs). Zhang et al. (2019), RankSRGAN, section 3.2 (a ranker that
    learns the order of another scorer, which may have no gradient). Deviation: the margin grows
    with the difference in severity, or of the teacher's quality.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

LOGIT_RANGE = 8.0
"""Difference in logits between a photograph and its worst version."""


def ranking_loss(logits: Tensor, severity: Tensor) -> tuple[Tensor, Tensor]:
    """Hinge loss over all pairs of a ladder; the margin grows with the difference in severity.

    Args:
        logits: :math:`(B, L)`.
        severity: :math:`(B, L)`, ascending in each row.

    Returns:
        Mean loss, and each ladder's share of pairs in the right order, :math:`(B,)`.
    """
    better, worse = torch.triu_indices(severity.shape[1], severity.shape[1], 1)
    lead = logits[:, better] - logits[:, worse]
    margin = LOGIT_RANGE * (severity[:, worse] - severity[:, better])
    return F.relu(margin - lead).mean(), (lead > 0).float().mean(1)


def distillation_loss(logits: Tensor, taught: Tensor) -> Tensor:
    """Hinge loss over all pairs of images; a teacher's differences, over their spread, are margins.

    Args:
        logits: :math:`(M,)`.
        taught: Quality by the teacher, :math:`(M,)`; NaN is left out.
    """
    known = taught.isfinite()
    logits, taught = logits[known], taught[known]
    gap = (taught[:, None] - taught[None]) / taught.std().clamp(min=1e-6)
    lead = (logits[:, None] - logits[None]) * gap.sign()
    return F.relu(gap.abs() - lead).mean()
