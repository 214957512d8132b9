"""Whether a network has become better: what judges say that took no part in training."""

from collections.abc import Sequence

from iqasr.improvement.option_files import CHECKERBOARD, HELD_OUT, VISIBLE_CHECKERBOARD
from iqasr.report.comparison import RunComparison


def verdict_of(comparisons: Sequence[RunComparison]) -> str:
    """Say whether the second run is better than the first, by scorers that were not optimised.

    It is, if at least half of them find it better on every test set, by paired 95 % intervals over
    photographs, and none finds it worse on any, and there is no new, visible checkerboard pattern.
    """
    lines, verdicts = [], []
    for comparison in comparisons:
        cells = dict(zip(comparison.better, comparison.cells[1], strict=True))
        held_out = {name: cells[name] for name in HELD_OUT if name in cells}
        better = [name for name, cell in held_out.items() if cell.verdict == 'better']
        worse = [name for name, cell in held_out.items() if cell.verdict == 'worse']
        if CHECKERBOARD in cells and cells[CHECKERBOARD].verdict == 'worse':
            visible = cells[CHECKERBOARD].mean >= VISIBLE_CHECKERBOARD
            worse += (
                [f'a visible checkerboard pattern ({cells[CHECKERBOARD].mean:.2f})']
                if visible
                else []
            )
        open_ = [name for name in held_out if name not in better + worse]
        verdicts.append((2 * len(better) >= max(len(held_out), 1), bool(worse), bool(better)))
        lines.append(
            f'- {comparison.dataset}, {len(comparison.images)} unseen photographs: better by '
            f'{listing(better)}; worse by {listing(worse)}; no difference shown by '
            f'{listing(open_)}.'
        )
    if all(enough and not worse for enough, worse, _ in verdicts):
        said = '**The network is better than it was**, by judges that took no part in training.'
    elif any(worse for _, worse, _ in verdicts):
        some = any(better for *_, better in verdicts)
        said = '**The network is not better than it was**: ' + (
            'judges that took no part in training disagree.'
            if some
            else 'judges that took no part in training find it worse.'
        )
    else:
        said = '**The network is not better than it was**, as far as this test can tell.'
    return '\n'.join([said, '', *lines])


def listing(names: Sequence[str]) -> str:
    """List names; ``none`` if there are none."""
    return ', '.join(names) or 'none'
