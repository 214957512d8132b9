"""Do raters agree with each other?

Source:
    Krippendorff (2011), Computing Krippendorff's alpha-reliability; nominal values.
"""

import numpy as np


def alpha(first: np.ndarray, second: np.ndarray) -> float | None:
    r"""Compute Krippendorff's alpha of votes between two images.

    Alpha and not Fleiss' kappa, since questions may have different numbers of votes. Which image of
    a question is called the first has no meaning, so every question is entered both ways round;
    chance is then an even choice, and a method that everybody prefers does not count as chance.
    With :math:`a` and :math:`b` votes on a question,

    .. math:: \alpha = 1 - D_o / D_e, \quad D_o = \frac{1}{n} \sum \frac{2 a b}{a + b - 1},
        \quad D_e = \frac{n}{2 n - 1}, \quad n = \sum (a + b).

    Args:
        first: Votes for the one image of each question, :math:`(Q,)`.
        second: Votes for the other, :math:`(Q,)`. Questions with a single vote are left out.

    Returns:
        1 if all agree, 0 for chance, less if they disagree more than by chance; None if no
        question has two votes.

    Example:
        >>> alpha(np.array([3, 2, 1]), np.array([0, 1, 1]))  # 1 - (4 / 8) / (8 / 15)
        0.0625
    """
    total = first + second
    first, second, total = (votes[total > 1] for votes in (first, second, total))
    n = total.sum()
    if n == 0:
        return None
    observed = (2 * first * second / (total - 1)).sum() / n
    return float(1 - observed * (2 * n - 1) / n)
