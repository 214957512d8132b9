"""Agreement between raters.

Source:
    Krippendorff (2011), Computing Krippendorff's alpha-reliability (for nominal values).
"""

import numpy as np


def krippendorff_alpha(first: np.ndarray, second: np.ndarray) -> float | None:
    r"""Compute Krippendorff's alpha of votes between two images.

    Unlike Fleiss' kappa, alpha allows different numbers of votes per question. Which image of a
    question is the first has no meaning, so every question is entered in both orders. Chance is
    then an even choice, and agreement that one method is better does not count as chance. With
    :math:`a` and :math:`b` votes on a question,

    .. math:: \alpha = 1 - D_o / D_e, \quad D_o = \frac{1}{n} \sum \frac{2 a b}{a + b - 1},
        \quad D_e = \frac{n}{2 n - 1}, \quad n = \sum (a + b).

    Args:
        first: Votes for one image of each question, :math:`(Q,)`.
        second: Votes for the other, :math:`(Q,)`. Questions with fewer than two votes do not count.

    Returns:
        1 if all agree, 0 at chance level, negative below it; None if no question has two votes.

    Example:
        >>> krippendorff_alpha(np.array([3, 2, 1]), np.array([0, 1, 1]))  # 1 - (4 / 8) / (8 / 15)
        0.0625
    """
    total = first + second
    first, second, total = (votes[total > 1] for votes in (first, second, total))
    n = total.sum()
    if n == 0:
        return None
    observed = (2 * first * second / (total - 1)).sum() / n
    return float(1 - observed * (2 * n - 1) / n)
