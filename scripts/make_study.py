"""Make a page on which raters choose between the images of two methods at a time.

Usage:
    python scripts/make_study.py results/a results/b -o results/study
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iqasr.runtime.commands import exit_codes
from iqasr.user_study import Design, make_study


def main() -> None:
    """Write ``study.html``, ``study.json`` and ``crops``."""
    parser = argparse.ArgumentParser(description='Make a user study with two alternatives.')
    add = parser.add_argument
    add('methods', nargs='+', help='result folders of iqasr/test.py, or folders of images')
    add('-o', '--output', required=True, help='folder for the study')
    add('--gt', help='folder of ground truths, for methods without them')
    add('--dataset', help='the only test set to show (default: all)')
    add('--crop_px', type=int, default=320, help='side of the crops')
    add('--images', type=int, help='number of images (default: all)')
    add('--per_rater', type=int, default=30, help='pairs shown to a rater')
    add('--catch', type=int, default=3, help='additional pairs with a known answer')
    add('--repeats', type=int, default=3, help='pairs asked again with the sides exchanged')
    add('--min_seconds', type=float, default=1.0, help='time before an answer is accepted')
    add('--show_reference', action='store_true', help='let raters look at the ground truth')
    add('--question', default=Design.question)
    args = vars(parser.parse_args())
    folders, target, *which = (args.pop(n) for n in ('methods', 'output', 'gt', 'dataset'))
    with exit_codes(parser.prog):
        manifest = make_study(folders, target, Design(**args), *which)
    sys.stdout.write(
        f'Study {manifest.study}: {len(manifest.items)} pairs of {len(manifest.methods)} methods.\n'
        f'Give {target}/study.html to the raters, and keep the rest of {target} for the analysis.\n'
    )


if __name__ == '__main__':
    main()
